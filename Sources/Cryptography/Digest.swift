import AfterloginCOpenSSL

/// SHA-2 digests.
package enum Digest {
    package static func sha256(_ bytes: [UInt8]) -> [UInt8] { self.sha256([bytes]) }

    /// The digest of all parts one after the other.
    package static func sha256(_ parts: [[UInt8]]) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: 32)
        let context = unsafe EVP_MD_CTX_new()
        defer { unsafe EVP_MD_CTX_free(context) }
        var isDone = unsafe EVP_DigestInit_ex(context, SHA256.algorithm, nil) == 1
        for part in parts { isDone = unsafe EVP_DigestUpdate(context, part, part.count) == 1 && isDone }
        isDone = unsafe EVP_DigestFinal_ex(context, &digest, nil) == 1 && isDone
        // It fails only where OpenSSL has no memory or no SHA-256; there is nothing to go on with then.
        precondition(isDone, "OpenSSL can't compute SHA-256")
        return digest
    }

    package static func sha256Hexadecimal(_ parts: [[UInt8]]) -> String { Hexadecimal.encode(self.sha256(parts)) }
}

/// Fetched once: `EVP_sha256()` is looked up anew at every use (OpenSSL 3, crypto(7) "Explicit fetching").
private enum SHA256 {
    nonisolated(unsafe) static let algorithm = unsafe EVP_MD_fetch(nil, "SHA256", nil)
}

/// Lower-case hexadecimal.
package enum Hexadecimal {
    private static let digits = Array("0123456789abcdef".utf8)

    package static func encode(_ bytes: [UInt8]) -> String {
        var text: [UInt8] = []
        text.reserveCapacity(bytes.count * 2)
        for byte in bytes {
            text.append(self.digits[Int(byte >> 4)])
            text.append(self.digits[Int(byte & 15)])
        }
        return String(decoding: text, as: UTF8.self)
    }
}

/// From the operating system's generator, by OpenSSL's.
package enum RandomBytes {
    package static func make(_ count: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        precondition(unsafe RAND_bytes(&bytes, Int32(count)) == 1, "OpenSSL has no randomness")
        return bytes
    }

    /// A random UUID (RFC 9562, version 4), in lower case.
    package static func uuid() -> String {
        var bytes = self.make(16)
        bytes[6] = bytes[6] & 0x0F | 0x40
        bytes[8] = bytes[8] & 0x3F | 0x80
        let text = Array(Hexadecimal.encode(bytes).utf8)
        let parts = [0..<8, 8..<12, 12..<16, 16..<20, 20..<32].map { String(decoding: text[$0], as: UTF8.self) }
        return parts.joined(separator: "-")
    }
}
