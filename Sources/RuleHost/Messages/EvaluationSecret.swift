import AfterloginCLinux
import Glibc

/// Random bytes of one run of an evaluation, which what the host says of it must carry back.
///
/// A package that writes to the frames' descriptor does not know those of other logins, and so can't speak for them.
struct EvaluationSecret: Equatable, Sendable {
    static let byteCount = 16

    let bytes: (UInt64, UInt64)

    static func == (left: EvaluationSecret, right: EvaluationSecret) -> Bool { left.bytes == right.bytes }
}

/// Draws secrets: one system call for many.
struct SecretSource {
    /// The kernel gives that many bytes without a break: getrandom(2).
    private static let secretsPerCall = 16

    private var words: [UInt64] = []

    mutating func next() -> EvaluationSecret {
        if self.words.isEmpty { self.refill() }
        return EvaluationSecret(bytes: (self.words.removeLast(), self.words.removeLast()))
    }

    private mutating func refill() {
        self.words = [UInt64](repeating: 0, count: Self.secretsPerCall * 2)
        let count = unsafe self.words.withUnsafeMutableBytes { buffer in
            unsafe getrandom(buffer.baseAddress, buffer.count, 0)
        }
        // Only where the kernel has no random numbers at all; a secret that can be guessed is none.
        precondition(count == self.words.count * 8, "no random bytes: error \(errno)")
    }
}
