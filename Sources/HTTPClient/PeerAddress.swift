import AfterloginCCurl
import Glibc

/// A numeric address and port.
struct PeerAddress {
    private enum Address {
        case ipv4(UInt32)
        case ipv6(UInt64, UInt64)
        /// Of a family that has no business here.
        case other
    }

    private let address: Address
    let port: Int

    init(_ socketAddress: UnsafeMutablePointer<curl_sockaddr>) {
        let start = unsafe UnsafeRawPointer(socketAddress) + (MemoryLayout<curl_sockaddr>.offset(of: \.addr) ?? 0)
        switch unsafe socketAddress.pointee.family {
        case AF_INET:
            let internet = unsafe start.loadUnaligned(as: sockaddr_in.self)
            self.address = .ipv4(UInt32(bigEndian: internet.sin_addr.s_addr))
            self.port = Int(UInt16(bigEndian: internet.sin_port))
        case AF_INET6:
            // `sockaddr_in6`: family, port, flow, then sixteen bytes.
            self.address = unsafe Self.ipv6(start + 8)
            self.port = Int(UInt16(bigEndian: unsafe start.loadUnaligned(fromByteOffset: 2, as: UInt16.self)))
        default:
            self.address = .other
            self.port = 0
        }
    }

    /// Reads an address as libcurl prints it.
    init?(numeric text: UnsafePointer<CChar>) {
        self.port = 0
        var bytes: (UInt64, UInt64) = (0, 0)
        if unsafe inet_pton(AF_INET, text, &bytes) == 1 {
            self.address = .ipv4(UInt32(bigEndian: UInt32(truncatingIfNeeded: bytes.0)))
        } else if unsafe inet_pton(AF_INET6, text, &bytes) == 1 {
            self.address = .ipv6(UInt64(bigEndian: bytes.0), UInt64(bigEndian: bytes.1))
        } else {
            return nil
        }
    }

    private static func ipv6(_ start: UnsafeRawPointer) -> Address {
        .ipv6(
            UInt64(bigEndian: unsafe start.loadUnaligned(as: UInt64.self)),
            UInt64(bigEndian: unsafe start.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
        )
    }

    var isSpecial: Bool {
        switch self.address {
        case .ipv4(let address): SpecialAddress.contains(ipv4: address)
        case .ipv6(let high, let low): SpecialAddress.contains(ipv6: high, low)
        case .other: true
        }
    }

    /// As people write it, without the port.
    var numeric: String? {
        var buffer = [CChar](repeating: 0, count: 64)
        let text: UnsafePointer<CChar>?
        switch self.address {
        case .ipv4(let address):
            var bytes = address.bigEndian
            unsafe text = inet_ntop(AF_INET, &bytes, &buffer, socklen_t(buffer.count))
        case .ipv6(let high, let low):
            var bytes = (high.bigEndian, low.bigEndian)
            unsafe text = inet_ntop(AF_INET6, &bytes, &buffer, socklen_t(buffer.count))
        case .other: return nil
        }
        guard unsafe text != nil else { return nil }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
