import AfterloginSystem
import Foundation

/// A TCP server that says, byte for byte, what a test wants said; a thread for each connection.
package final class ScriptedServer: Sendable {
    package enum Step: Sendable {
        case send([UInt8])
        /// Again and again, until the peer has enough.
        case sendForever([UInt8], every: UInt32)
        /// Nothing more, until the peer closes.
        case hang
        case close
        case reset

        package static func text(_ text: String) -> Step { .send(Array(text.utf8)) }
    }

    package typealias Script = @Sendable (_ connection: Int, _ request: String) -> [Step]

    private struct State {
        var connections = 0
        var requests: [String] = []
    }

    package let port: Int
    /// A connection's number, when its peer has closed it.
    package let closed: AsyncStream<Int>
    private let closing: AsyncStream<Int>.Continuation
    private let listener: Int32
    private let script: Script
    private let state = Mutex(State())

    package var connections: Int { self.state.withLock { $0.connections } }
    package var requests: [String] { self.state.withLock { $0.requests } }
    package var url: String { "http://127.0.0.1:\(self.port)" }

    package init(_ script: @escaping Script) {
        (self.closed, self.closing) = AsyncStream.makeStream()
        (self.listener, self.port) = Self.listen(backlog: 512)
        self.script = script
        let listener = self.listener
        Thread.detachNewThread { [weak self] in
            while true {
                let descriptor = accept(listener, nil, nil)
                guard descriptor >= 0, let self else { return }
                let number = self.state.withLock { state in
                    state.connections += 1
                    return state.connections
                }
                Thread.detachNewThread { self.serve(descriptor, number) }
            }
        }
    }

    /// Ends the listening; connections end with their peers.
    package func stop() { shutdown(self.listener, Int32(SHUT_RDWR)) }

    package static func listen(backlog: Int32) -> (descriptor: Int32, port: Int) {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let port = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                precondition(bind(descriptor, pointer, length) == 0)
                precondition(Glibc.listen(descriptor, backlog) == 0)
                getsockname(descriptor, pointer, &length)
                return UnsafeRawPointer(pointer).load(as: sockaddr_in.self).sin_port.bigEndian
            }
        }
        return (descriptor, Int(port))
    }

    private func serve(_ descriptor: Int32, _ number: Int) {
        defer { close(descriptor) }
        var buffered: [UInt8] = []
        while let request = self.readRequest(descriptor, &buffered) {
            self.state.withLock { $0.requests.append(request) }
            for step in self.script(number, request) {
                switch step {
                case .send(let bytes): guard self.write(bytes, to: descriptor) else { break }
                case .sendForever(let bytes, let microseconds):
                    while self.write(bytes, to: descriptor) { if microseconds > 0 { usleep(microseconds) } }
                    self.closing.yield(number)
                    return
                case .hang:
                    var byte: UInt8 = 0
                    while recv(descriptor, &byte, 1, 0) > 0 {}
                    self.closing.yield(number)
                    return
                case .close: return
                case .reset:
                    var linger = linger(l_onoff: 1, l_linger: 0)
                    setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<Glibc.linger>.size))
                    return
                }
            }
        }
        self.closing.yield(number)
    }

    private func readRequest(_ descriptor: Int32, _ buffered: inout [UInt8]) -> String? {
        var chunk = [UInt8](repeating: 0, count: 16 << 10)
        while true {
            if let end = buffered.firstRange(of: Array("\r\n\r\n".utf8)) {
                let head = String(decoding: buffered[..<end.upperBound], as: UTF8.self)
                let length = head.lowercased().split(separator: "\r\n").first { $0.hasPrefix("content-length:") }
                let body = length.flatMap { Int($0.dropFirst(15).trimmingCharacters(in: .whitespaces)) } ?? 0
                if buffered.count >= end.upperBound + body {
                    let text = String(decoding: buffered[..<(end.upperBound + body)], as: UTF8.self)
                    buffered.removeFirst(end.upperBound + body)
                    return text
                }
            }
            let count = recv(descriptor, &chunk, chunk.count, 0)
            guard count > 0 else { return nil }
            buffered += chunk[..<count]
        }
    }

    private func write(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }
}
