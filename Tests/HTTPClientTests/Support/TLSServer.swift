import AfterloginSystem
import Glibc

/// Node's TLS and HTTP/2 server (`Fixtures/tls-server.mjs`), and the lines that it prints about what it sees.
final class TLSServer: Sendable {
    let port: Int
    let lines = Observed<[String]>([])
    private let program: ChildProgram

    /// The options are those of `tls.createServer`, as text of a JavaScript object without its braces.
    init(pem: String, http2: Bool = false, options: String = "") async throws {
        let script =
            #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(2)
            .joined(separator: "/") + "/Fixtures/tls-server.mjs"
        let program = try ChildProgram(["node", script, http2 ? "http2" : "http1", pem, "({\(options)})"])
        self.program = program
        let lines = self.lines
        NamedThread.start("tls-server") {
            var text: [UInt8] = []
            while true {
                let bytes = program.read()
                if bytes.isEmpty { break }
                text += bytes
                while let end = text.firstIndex(of: UInt8(ascii: "\n")) {
                    let line = String(decoding: text[..<end], as: UTF8.self)
                    text.removeSubrange(...end)
                    lines.update { $0.append(line) }
                }
            }
            lines.update { $0.append("ended") }
            _ = program.waitForEnd()
        }
        await lines.wait { !$0.isEmpty }
        guard let port = lines.value.first.flatMap({ Int($0) }) else {
            throw ChildProgram.Failed(description: "the TLS server did not start: \(lines.value)")
        }
        self.port = port
    }

    deinit { self.stop() }

    func url(_ path: String = "/", host: String = "127.0.0.1") -> String { "https://\(host):\(self.port)\(path)" }

    /// Returns when it has printed the line that often: its lines come by a pipe of their own, and later than its responses.
    func waitFor(_ line: String, count: Int) async {
        await self.lines.wait { lines in lines.last == "ended" || lines.count { $0 == line } >= count }
    }

    func count(_ line: String) -> Int { self.lines.value.count { $0 == line } }

    func stop() { self.program.kill() }
}
