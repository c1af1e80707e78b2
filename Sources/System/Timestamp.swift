import Glibc

/// Instants as RFC 3339 text in UTC, with milliseconds.
package enum Timestamp {
    /// Of milliseconds since 1970-01-01T00:00:00Z; years outside of 0 to 9999 are clamped.
    package static func text(milliseconds: Int64) -> String {
        // 0000-01-01 and 9999-12-31 in milliseconds.
        let milliseconds = min(max(milliseconds, -62_167_219_200_000), 253_402_300_799_999)
        let days = Int(milliseconds.floorDivided(by: 86_400_000))
        let inDay = Int(milliseconds - Int64(days) * 86_400_000)
        let (year, month, day) = self.civil(days)
        let seconds = inDay / 1_000
        let clock = [seconds / 3_600, seconds / 60 % 60, seconds % 60].map { self.padded($0, 2) }.joined(separator: ":")
        return
            "\(self.padded(year, 4))-\(self.padded(month, 2))-\(self.padded(day, 2))T\(clock).\(self.padded(inDay % 1_000, 3))Z"
    }

    /// So long ago, to the second.
    package static func text(ago duration: Duration) -> String {
        var now = timespec()
        unsafe clock_gettime(CLOCK_REALTIME, &now)
        let milliseconds = Int64(now.tv_sec) * 1_000 + Int64(now.tv_nsec) / 1_000_000
        return "\(self.text(milliseconds: milliseconds - Int64(duration.inSeconds * 1_000)).prefix(19))Z"
    }

    /// Whether the text is a time of RFC 3339, section 5.6: `2026-11-24T10:00:00.5Z`, `…+01:00`.
    package static func isValid(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        guard bytes.count >= 20, bytes.count <= 64 else { return false }
        func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }
        for (index, form) in "0000-00-00T00:00:00".utf8.enumerated() {
            let byte = bytes[index]
            switch form {
            case UInt8(ascii: "0"): guard isDigit(byte) else { return false }
            case UInt8(ascii: "T"): guard "Tt ".utf8.contains(byte) else { return false }
            default: guard byte == form else { return false }
            }
        }
        func number(_ range: Range<Int>) -> Int { bytes[range].reduce(0) { $0 * 10 + Int($1 & 15) } }
        // A minute may have a leap second (5.7).
        let (year, month, day) = (number(0..<4), number(5..<7), number(8..<10))
        guard (1...12).contains(month), (1...self.days(in: month, of: year)).contains(day), number(11..<13) < 24,
            number(14..<16) < 60, number(17..<19) <= 60
        else { return false }
        var rest = bytes[19...]
        if rest.first == UInt8(ascii: ".") {
            let fraction = rest.dropFirst().prefix(while: isDigit)
            guard !fraction.isEmpty else { return false }
            rest = rest[fraction.endIndex...]
        }
        if rest.count == 1 { return "Zz".utf8.contains(rest[rest.startIndex]) }
        guard rest.count == 6, let sign = rest.first, "+-".utf8.contains(sign) else { return false }
        let start = rest.startIndex
        return zip(rest.dropFirst(), "00:00".utf8).allSatisfy { $1 == UInt8(ascii: ":") ? $0 == $1 : isDigit($0) }
            && number(start + 1..<start + 3) < 24 && number(start + 4..<start + 6) < 60
    }

    private static func days(in month: Int, of year: Int) -> Int {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    /// Days since 1970 to a date of the Gregorian calendar, counted in eras of 400 years that begin on the first of March.
    private static func civil(_ days: Int) -> (year: Int, month: Int, day: Int) {
        let shifted = days + 719_468
        let era = shifted.floorDivided(by: 146_097)
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }

    private static func padded(_ number: Int, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
}

extension BinaryInteger {
    /// Rounded toward minus infinity.
    fileprivate func floorDivided(by divisor: Self) -> Self {
        let (quotient, remainder) = self.quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? quotient - 1 : quotient
    }
}
