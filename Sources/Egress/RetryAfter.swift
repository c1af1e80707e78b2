package import AfterloginHTTPMessages

/// What a server says about when to come back: `Retry-After` (RFC 9110, 10.2.3), in seconds or as a date.
package enum RetryAfter {
    /// The wait that a response asks for, or nil where it says nothing that can be understood; never negative.
    ///
    /// The longest of several waits counts. `wallClock`, seconds since 1970, turns a date into a wait.
    package static func duration(in headers: HTTPFields, wallClock: Double) -> Duration? {
        var longest: Duration?
        for field in headers where field.isNamed("retry-after") {
            guard let wait = Self.duration(field.value, wallClock: wallClock) else { continue }
            longest = max(longest ?? .zero, wait)
        }
        return longest
    }

    /// The wait that one value asks for; a year at most, so that sums of waits cannot overflow.
    package static func duration(_ value: String, wallClock: Double) -> Duration? {
        let text = value.trimmingSpaces()
        guard !text.isEmpty, text.utf8.count <= 64 else { return nil }
        let longest = 31_536_000.0
        if text.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 || $0 == 0x2E }) {
            // Some servers send fractions of a second, which the RFC does not know.
            guard let seconds = Double(text), seconds.isFinite else { return nil }
            return .seconds(min(seconds, longest))
        }
        guard let date = HTTPDate(text) else { return nil }
        return .seconds(min(max(Double(date.secondsSince1970) - wallClock, 0), longest))
    }
}

/// A date in one of the three forms of RFC 9110, 5.6.7.
package struct HTTPDate: Sendable, Hashable {
    package let secondsSince1970: Int

    package init?(_ text: String) {
        // All three forms, once commas, hyphens and colons are gaps, are words in a known order:
        // Sun 06 Nov 1994 08 49 37 GMT | Sunday 06 Nov 94 08 49 37 GMT | Sun Nov  6 08 49 37 1994
        let words = text.utf8.split { " ,-:".utf8.contains($0) }.compactMap { String(Substring($0)) }
        let day: Int?
        let month: Int?
        let year: Int?
        let time: ArraySlice<String>
        switch words.count {
        case 8 where words[7] == "GMT" || words[7] == "UTC":
            day = Self.number(words[1])
            month = Self.month(words[2])
            // RFC 9110: a two-digit year more than 50 years ahead is in the past century.
            year = Self.number(words[3]).map { words[3].utf8.count == 2 ? ($0 < 77 ? 2000 + $0 : 1900 + $0) : $0 }
            time = words[4..<7]
        case 7:
            month = Self.month(words[1])
            day = Self.number(words[2])
            time = words[3..<6]
            year = Self.number(words[6])
        default:
            return nil
        }
        let parts = time.compactMap(Self.number)
        guard let day, let month, let year, parts.count == 3, (1...31).contains(day), (1970...9999).contains(year),
            parts[0] < 24, parts[1] < 60, parts[2] <= 60
        else { return nil }
        let days = Self.daysSince1970(year: year, month: month, day: day)
        self.secondsSince1970 = days * 86_400 + parts[0] * 3_600 + parts[1] * 60 + parts[2]
    }

    private static func number(_ word: String) -> Int? {
        guard !word.isEmpty, word.utf8.count <= 4, word.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) else {
            return nil
        }
        return Int(word)
    }

    private static func month(_ word: String) -> Int? {
        let names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        return names.firstIndex(of: word).map { $0 + 1 }
    }

    /// Days of the Gregorian calendar, counted in years that begin in March (Howard Hinnant, "chrono-compatible
    /// low-level date algorithms").
    private static func daysSince1970(year: Int, month: Int, day: Int) -> Int {
        let shifted = month <= 2 ? year - 1 : year
        let era = shifted / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468
    }
}

extension String {
    /// Without spaces and tabs at both ends.
    package func trimmingSpaces() -> String {
        let isSpace: (UInt8) -> Bool = { $0 == 0x20 || $0 == 0x09 }
        guard let first = self.utf8.firstIndex(where: { !isSpace($0) }),
            let last = self.utf8.lastIndex(where: { !isSpace($0) })
        else { return "" }
        return String(self[first...last])
    }
}
