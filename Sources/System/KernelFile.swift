import Glibc

/// A short file of the kernel's, below `/proc` or `/sys`.
package enum KernelFile {
    /// Its first 4,096 bytes, which is all of most; empty where it can't be read.
    package static func text(of path: String) -> String {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return "" }
        defer { close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: 4_096)
        let count = unsafe buffer.withUnsafeMutableBytes { unsafe read(descriptor, $0.baseAddress, $0.count) }
        return String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
    }

    /// Bytes of a process that are resident, by its `statm` (proc(5)); 0 where there is no such process.
    package static func residentBytes(of process: String) -> Int {
        let words = self.text(of: "/proc/\(process)/statm").split(separator: " ")
        return words.count > 1 ? (Int(words[1]) ?? 0) * Int(getpagesize()) : 0
    }
}
