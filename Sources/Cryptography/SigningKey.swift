import AfterloginCOpenSSL

/// Why a key, signature or certificate could not be made.
package struct CryptographyError: Error, Sendable, CustomStringConvertible {
    package let description: String

    /// With what OpenSSL has to say; its queue of errors is empty afterwards.
    init(_ what: String) {
        var reasons: [String] = []
        while case let code = ERR_get_error(), code != 0 {
            if let reason = unsafe ERR_reason_error_string(code) { reasons.append(unsafe String(cString: reason)) }
        }
        self.description = reasons.isEmpty ? what : "\(what): \(reasons.joined(separator: ", "))"
    }
}

/// A key for signing or verifying: RSA, or elliptic curve P-256.
@safe package final class SigningKey: Sendable {
    /// The algorithms of RFC 7518 that identity providers take for `private_key_jwt`.
    package enum Algorithm: String, Sendable, CaseIterable {
        case rs256 = "RS256"
        case rs384 = "RS384"
        case ps256 = "PS256"
        case es256 = "ES256"
    }

    /// Immutable after creation; OpenSSL's keys may be used by many threads then.
    nonisolated(unsafe) let pointer: OpaquePointer

    private init(owning pointer: OpaquePointer?, _ what: String) throws(CryptographyError) {
        guard let pointer = unsafe pointer else { throw CryptographyError(what) }
        unsafe self.pointer = pointer
    }

    /// From a private key in PEM: PKCS#8, or the older forms, without a password.
    package convenience init(pem: String) throws(CryptographyError) {
        let bio = try MemoryBIO(Array(pem.utf8))
        // Never asks for a password on a terminal: the callback gives none.
        let pointer = unsafe PEM_read_bio_PrivateKey(bio.pointer, nil, { _, _, _, _ in 0 }, nil)
        try unsafe self.init(owning: pointer, "this is not a private key in PEM, or it has a password")
    }

    /// Only for `verify`: from a public key (`BEGIN PUBLIC KEY`) in PEM.
    package convenience init(publicPEM: String) throws(CryptographyError) {
        let bio = try MemoryBIO(Array(publicPEM.utf8))
        let pointer = unsafe PEM_read_bio_PUBKEY(bio.pointer, nil, { _, _, _, _ in 0 }, nil)
        try unsafe self.init(owning: pointer, "this is not a public key in PEM")
    }

    package static func generateRSA(bits: Int = 2_048) throws(CryptographyError) -> SigningKey {
        try unsafe SigningKey(owning: shim_generate_rsa(UInt32(bits)), "no RSA key could be generated")
    }

    package static func generateP256() throws(CryptographyError) -> SigningKey {
        try unsafe SigningKey(owning: shim_generate_p256(), "no P-256 key could be generated")
    }

    deinit { unsafe EVP_PKEY_free(self.pointer) }

    private var isRSA: Bool { unsafe EVP_PKEY_is_a(self.pointer, "RSA") == 1 }

    /// The signature as JWS wants it (ES256: r and s, 32 bytes each; RFC 7518, 3.4).
    package func sign(_ bytes: [UInt8], _ algorithm: Algorithm) throws(CryptographyError) -> [UInt8] {
        guard self.isRSA == (algorithm != .es256) else {
            throw CryptographyError("\(algorithm.rawValue) doesn't go with this kind of key")
        }
        let context = unsafe EVP_MD_CTX_new()
        defer { unsafe EVP_MD_CTX_free(context) }
        var keyContext: OpaquePointer?
        guard unsafe EVP_DigestSignInit(context, &keyContext, algorithm.digest, nil, self.pointer) == 1,
            unsafe algorithm != .ps256 || shim_use_pss(keyContext) == 1
        else { throw CryptographyError("\(algorithm.rawValue) can't be used with this key") }
        var count = 0
        guard unsafe EVP_DigestSign(context, nil, &count, bytes, bytes.count) == 1 else {
            throw CryptographyError("signing failed")
        }
        var signature = [UInt8](repeating: 0, count: count)
        guard unsafe EVP_DigestSign(context, &signature, &count, bytes, bytes.count) == 1 else {
            throw CryptographyError("signing failed")
        }
        signature.removeLast(signature.count - count)
        guard algorithm == .es256 else { return signature }
        return try ECDSASignature.joined(fromDER: signature)
    }

    package func verify(_ signature: [UInt8], of bytes: [UInt8], _ algorithm: Algorithm) -> Bool {
        guard self.isRSA == (algorithm != .es256) else { return false }
        var signature = signature
        if algorithm == .es256 {
            guard let der = ECDSASignature.der(fromJoined: signature) else { return false }
            signature = der
        }
        let context = unsafe EVP_MD_CTX_new()
        defer {
            unsafe EVP_MD_CTX_free(context)
            ERR_clear_error()
        }
        var keyContext: OpaquePointer?
        guard unsafe EVP_DigestVerifyInit(context, &keyContext, algorithm.digest, nil, self.pointer) == 1,
            unsafe algorithm != .ps256 || shim_use_pss(keyContext) == 1
        else { return false }
        return unsafe EVP_DigestVerify(context, signature, signature.count, bytes, bytes.count) == 1
    }

    /// PKCS#8.
    package var privatePEM: String {
        get throws(CryptographyError) {
            let bio = try MemoryBIO()
            guard unsafe PEM_write_bio_PrivateKey(bio.pointer, self.pointer, nil, nil, 0, nil, nil) == 1 else {
                throw CryptographyError("the key can't be written")
            }
            return bio.text
        }
    }

    /// The public half (`BEGIN PUBLIC KEY`).
    package var publicPEM: String {
        get throws(CryptographyError) {
            let bio = try MemoryBIO()
            guard unsafe PEM_write_bio_PUBKEY(bio.pointer, self.pointer) == 1 else {
                throw CryptographyError("the public key can't be written")
            }
            return bio.text
        }
    }
}

extension SigningKey.Algorithm {
    fileprivate var digest: OpaquePointer? {
        switch self {
        case .rs256, .ps256, .es256: unsafe EVP_sha256()
        case .rs384: unsafe EVP_sha384()
        }
    }
}

/// ECDSA signatures: OpenSSL speaks DER, JWS wants r and s joined (RFC 7518, 3.4).
private enum ECDSASignature {
    static func joined(fromDER der: [UInt8]) throws(CryptographyError) -> [UInt8] {
        let signature = unsafe der.withUnsafeBufferPointer { buffer in
            var start = buffer.baseAddress
            return unsafe d2i_ECDSA_SIG(nil, &start, buffer.count)
        }
        guard unsafe signature != nil else { throw CryptographyError("the signature is no ECDSA signature") }
        defer { unsafe ECDSA_SIG_free(signature) }
        var r = [UInt8](repeating: 0, count: 32)
        var s = [UInt8](repeating: 0, count: 32)
        guard unsafe BN_bn2binpad(ECDSA_SIG_get0_r(signature), &r, 32) == 32,
            unsafe BN_bn2binpad(ECDSA_SIG_get0_s(signature), &s, 32) == 32
        else { throw CryptographyError("the signature is not of P-256") }
        return r + s
    }

    static func der(fromJoined joined: [UInt8]) -> [UInt8]? {
        guard joined.count == 64 else { return nil }
        let r = Array(joined[..<32])
        let s = Array(joined[32...])
        let signature = unsafe ECDSA_SIG_new()
        defer { unsafe ECDSA_SIG_free(signature) }
        // The signature owns both numbers from here on.
        guard unsafe ECDSA_SIG_set0(signature, BN_bin2bn(r, 32, nil), BN_bin2bn(s, 32, nil)) == 1 else { return nil }
        let count = unsafe i2d_ECDSA_SIG(signature, nil)
        guard count > 0 else { return nil }
        var der = [UInt8](repeating: 0, count: Int(count))
        unsafe der.withUnsafeMutableBufferPointer { buffer in
            var start = buffer.baseAddress
            _ = unsafe i2d_ECDSA_SIG(signature, &start)
        }
        return der
    }
}

/// Bytes that OpenSSL reads or writes.
@safe struct MemoryBIO: ~Copyable {
    let pointer: OpaquePointer

    init() throws(CryptographyError) {
        guard let pointer = unsafe BIO_new(BIO_s_mem()) else { throw CryptographyError("no memory") }
        unsafe self.pointer = pointer
    }

    init(_ bytes: [UInt8]) throws(CryptographyError) {
        // A copy: the buffer that BIO_new_mem_buf would borrow is not ours for long enough.
        guard let pointer = unsafe BIO_new(BIO_s_mem()) else { throw CryptographyError("no memory") }
        unsafe BIO_write(pointer, bytes, Int32(bytes.count))
        unsafe self.pointer = pointer
    }

    var text: String {
        var start: UnsafeMutablePointer<CChar>?
        let count = unsafe shim_bio_bytes(self.pointer, &start)
        guard let start = unsafe start, count > 0 else { return "" }
        let bytes = unsafe UnsafeRawBufferPointer(start: start, count: count)
        return unsafe String(decoding: bytes, as: UTF8.self)
    }

    deinit { unsafe BIO_free(self.pointer) }
}
