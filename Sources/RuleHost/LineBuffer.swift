/// Text that a process prints, cut into lines of bounded length.
struct LineBuffer {
    /// The rest of a longer line is dropped: a host must not fill our memory, and a secret that is cut in two is not found.
    private static let maxBytes = 4_096
    private var bytes: [UInt8] = []

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

    /// What has no end of line yet.
    mutating func finished() -> String? {
        guard !self.bytes.isEmpty else { return nil }
        defer { self.bytes = [] }
        return String(decoding: self.bytes, as: UTF8.self)
    }
}
