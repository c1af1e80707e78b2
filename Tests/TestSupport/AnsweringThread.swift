import Glibc

/// The thread that answers a ping.
package enum AnsweringThread {
    /// Its name, of which the kernel keeps 15 bytes.
    package static func name(_ ping: (@escaping @Sendable () -> Void) -> Void) async -> String {
        await withCheckedContinuation { continuation in
            ping { continuation.resume(returning: self.current) }
        }
    }

    private static var current: String {
        guard let file = fopen("/proc/thread-self/comm", "r") else { return "" }
        defer { fclose(file) }
        var name = [CChar](repeating: 0, count: 17)
        fgets(&name, 17, file)
        return String(decoding: name.prefix { $0 > 0x0A }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
