import AfterloginCOpenSSL
import Glibc

extension SigningKey {
    /// A self-signed certificate (PEM) that serves these DNS names and IP addresses, and is its own certificate authority.
    ///
    /// - Parameters:
    ///   - names: Host names and numeric addresses; the first is the subject's common name.
    ///   - days: How long it is valid, from an hour ago (clocks differ); negative for one that has expired.
    /// - Returns: The certificate in PEM.
    /// - Throws: `CryptographyError` where a name can't stand in a certificate.
    package func makeCertificate(names: [String], days: Int) throws(CryptographyError) -> String {
        guard let first = names.first else { throw CryptographyError("a certificate needs a name") }
        guard let certificate = unsafe X509_new() else { throw CryptographyError("no memory") }
        defer { unsafe X509_free(certificate) }
        unsafe X509_set_version(certificate, 2)
        let serial = RandomBytes.make(8)
        // Positive, as RFC 5280, 4.1.2.2 wants it.
        let number = serial.reduce(0) { $0 << 8 | UInt64($1) } >> 1
        unsafe ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), number)
        unsafe X509_gmtime_adj(X509_getm_notBefore(certificate), min(-3_600, (days - 1) * 86_400))
        unsafe X509_gmtime_adj(X509_getm_notAfter(certificate), days * 86_400)
        unsafe X509_set_pubkey(certificate, self.pointer)
        let subject = unsafe X509_get_subject_name(certificate)
        let common = Array(first.utf8.prefix(64))
        guard unsafe X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, common, Int32(common.count), -1, 0) == 1,
            unsafe X509_set_issuer_name(certificate, subject) == 1
        else { throw CryptographyError("\(first) can't be a certificate's subject") }
        let alternatives = names.map { (Self.isAddress($0) ? "IP:" : "DNS:") + $0 }
        guard names.allSatisfy(Self.isHostText) else {
            throw CryptographyError("a name is neither a host name nor an address")
        }
        try unsafe Self.extend(certificate, NID_basic_constraints, "critical,CA:TRUE")
        try unsafe Self.extend(certificate, NID_key_usage, "critical,digitalSignature,keyEncipherment,keyCertSign")
        try unsafe Self.extend(certificate, NID_ext_key_usage, "serverAuth")
        try unsafe Self.extend(certificate, NID_subject_alt_name, alternatives.joined(separator: ","))
        guard unsafe X509_sign(certificate, self.pointer, EVP_sha256()) > 0 else {
            throw CryptographyError("the certificate can't be signed")
        }
        let bio = try MemoryBIO()
        guard unsafe PEM_write_bio_X509(bio.pointer, certificate) == 1 else {
            throw CryptographyError("the certificate can't be written")
        }
        return bio.text
    }

    private static func extend(_ certificate: OpaquePointer, _ kind: Int32, _ value: String) throws(CryptographyError) {
        var context = unsafe X509V3_CTX()
        unsafe X509V3_set_ctx(&context, certificate, certificate, nil, nil, 0)
        guard let made = unsafe X509V3_EXT_conf_nid(nil, &context, kind, value) else {
            throw CryptographyError("\(value) can't stand in a certificate")
        }
        defer { unsafe X509_EXTENSION_free(made) }
        guard unsafe X509_add_ext(certificate, made, -1) == 1 else { throw CryptographyError("no memory") }
    }

    private static func isAddress(_ name: String) -> Bool {
        var four = in_addr()
        var six = in6_addr()
        return unsafe inet_pton(AF_INET, name, &four) == 1 || inet_pton(AF_INET6, name, &six) == 1
    }

    /// Nothing that OpenSSL's configuration syntax would read as more than a name.
    private static func isHostText(_ name: String) -> Bool {
        !name.isEmpty && name.utf8.count <= 253
            && name.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
                case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: ":"):
                    true
                case UInt8(ascii: "*"), UInt8(ascii: "_"): true
                default: false
                }
            }
    }
}
