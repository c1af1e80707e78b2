import Glibc

/// A file that is read whole: regular or not (`/dev/stdin`, a pipe of the shell's), and never without end.
package enum SmallFile {
    /// Why it can't be read.
    package struct Problem: Error, CustomStringConvertible {
        package var description: String
    }

    package static let maxBytes = 1 << 20

    package static func read(_ path: String) throws(Problem) -> [UInt8] {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Problem(description: unsafe String(cString: strerror(errno))) }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while bytes.count <= Self.maxBytes {
            let count = unsafe buffer.withUnsafeMutableBytes { unsafe Glibc.read(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw Problem(description: unsafe String(cString: strerror(errno))) }
            guard count > 0 else { return bytes }
            bytes += buffer[..<count]
        }
        throw Problem(description: "it is larger than \(Self.maxBytes) bytes")
    }
}
