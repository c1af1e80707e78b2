/// Text that a process prints, cut into lines of bounded length.
struct LineBuffer {
    /// The rest of a longer line is dropped: a host must not fill our memory, and a secret that is cut in two is not found.
    private static let maxBytes = 4_096
    private var bytes: [UInt8] = []
    /// Whether the lines of a private key come: each by itself looks like nothing.
    private var isInKey = false

    mutating func received(_ chunk: ArraySlice<UInt8>) -> [String] {
        var lines: [String] = []
        for byte in chunk {
            if byte == 0x0A {
                if let line = self.finished() { lines.append(line) }
            } else if self.bytes.count < Self.maxBytes {
                self.bytes.append(byte)
            }
        }
        return lines
    }

    /// What has no end of line yet; nil where there is nothing to pass on.
    mutating func finished() -> String? {
        guard !self.bytes.isEmpty else { return nil }
        defer { self.bytes = [] }
        let line = String(decoding: self.bytes, as: UTF8.self)
        if self.isInKey {
            let isEnd = line.contains("-----END ")
            self.isInKey = !isEnd && Self.isOfKey(self.bytes)
            if isEnd || self.isInKey { return nil }
        }
        guard let begin = line.firstRange(of: "-----BEGIN "), line[begin.upperBound...].contains("PRIVATE KEY-----")
        else { return line }
        // On one line with its end it is the redactor's.
        guard !line.contains("-----END ") else { return line }
        self.isInKey = true
        return line[..<begin.lowerBound] + "[a private key]"
    }

    /// Base64, or a header of RFC 1421 (`DEK-Info: …`).
    private static func isOfKey(_ line: [UInt8]) -> Bool {
        if line.starts(with: "Proc-Type: ".utf8) || line.starts(with: "DEK-Info: ".utf8) { return true }
        return line.allSatisfy { byte in
            (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                || "+/=\r".utf8.contains(byte)
        }
    }
}
