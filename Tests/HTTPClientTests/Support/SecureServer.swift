import Foundation
import Testing

/// Node's own TLS and HTTP/2 servers, with certificates of an authority that is made for the test.
final class SecureServer {
    struct Unfinished: Error { let description: String }

    private static let program = """
        const fs = require('fs'), zlib = require('zlib');
        const [kind, folder, name] = process.argv.slice(1);
        const options = { key: fs.readFileSync(`${folder}/${name}.key`), cert: fs.readFileSync(`${folder}/${name}.pem`), allowHTTP1: true };
        let sessions = 0;
        const bomb = zlib.gzipSync(Buffer.alloc(64 << 20));
        const answer = (request, response) => {
            if (request.url === '/bomb') {
                response.writeHead(200, { 'content-encoding': 'gzip', 'content-type': 'text/plain' });
                return response.end(bomb);
            }
            if (request.url === '/gzip') {
                response.writeHead(200, { 'content-encoding': 'gzip', 'content-type': 'text/plain' });
                return response.end(zlib.gzipSync('unfolded'));
            }
            setTimeout(() => response.end(JSON.stringify({ version: request.httpVersion, sessions, url: request.url })), 20);
        };
        const server = kind === 'h2' ? require('http2').createSecureServer(options, answer) : require('https').createServer(options, answer);
        server.on('secureConnection', () => { sessions += 1; });
        server.on('tlsClientError', () => {});
        server.listen(0, '127.0.0.1', () => console.log(server.address().port));
        """

    private let process = Process()
    let port: Int

    init(_ kind: String, certificate: String, in folder: CertificateFolder) throws {
        self.process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        self.process.arguments = ["node", "-e", Self.program, kind, folder.path, certificate]
        let pipe = Pipe()
        self.process.standardOutput = pipe
        try self.process.run()
        let text = String(decoding: pipe.fileHandleForReading.availableData, as: UTF8.self)
        guard let port = Int(text.trimmingCharacters(in: .whitespacesAndNewlines)) else {
            throw Unfinished(description: "no server: \(text)")
        }
        self.port = port
    }

    var url: String { "https://localhost:\(self.port)" }

    deinit {
        self.process.terminate()
        self.process.waitUntilExit()
    }
}

/// An authority `ca.pem`, and certificates that it signed: `good`, `expired`, `elsewhere`.
final class CertificateFolder {
    let path: String

    init() throws {
        self.path = FileManager.default.temporaryDirectory.appendingPathComponent("certificates-\(UUID())").path
        try FileManager.default.createDirectory(atPath: self.path, withIntermediateDirectories: true)
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        try self.openssl(
            ["req", "-x509"] + key + ["-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=authority", "-days", "2"]
        )
        for (name, host, days) in [
            ("good", "localhost", "2"), ("expired", "localhost", "-1"), ("elsewhere", "other.example", "2"),
        ] {
            try self.openssl(
                ["req", "-new"] + key + [
                    "-keyout", "\(name).key", "-out", "\(name).csr", "-subj", "/CN=\(host)", "-addext",
                    "subjectAltName=DNS:\(host)",
                ]
            )
            try self.openssl([
                "x509", "-req", "-in", "\(name).csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-copy_extensions", "copy",
                "-days", days, "-out", "\(name).pem",
            ])
        }
    }

    private func openssl(_ words: [String]) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["openssl"] + words
        process.currentDirectoryURL = URL(fileURLWithPath: self.path)
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0, "openssl \(words.joined(separator: " "))")
    }

    deinit { try? FileManager.default.removeItem(atPath: self.path) }
}
