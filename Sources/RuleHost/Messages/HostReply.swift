import AfterloginJSON

/// What became of a request.
package enum HostReply: Sendable {
    case response(HostResponse)
    case failed(HostFailure)

    /// Encoded by whoever answers, not on the thread of the hosts.
    func encoded() -> EncodedReply {
        switch self {
        case .response(let response):
            EncodedReply(kind: .response, head: response.head, body: response.body, hold: response.hold)
        case .failed(let failure): EncodedReply(kind: .failed, head: failure.encoded, body: [])
        }
    }
}

package struct HostResponse: Sendable {
    package var status: Int
    package var reason: String
    package var headers: [HostHeader]
    package var body: [UInt8]
    /// Counts as a failure that more luck may mend: the rule that asked is marked, and `EvaluationReply.before` is what was before it.
    package var failedSo: Bool
    /// What the memory of the body is counted by, until it is written to the host or dropped.
    package var hold: (any Sendable)?

    package init(
        status: Int,
        reason: String = "",
        headers: [HostHeader] = [],
        body: [UInt8] = [],
        failedSo: Bool = false,
        hold: (any Sendable)? = nil
    ) {
        self.hold = hold
        self.status = status
        self.reason = reason
        self.headers = headers
        self.body = body
        self.failedSo = failedSo
    }

    fileprivate var head: [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("status", self.status)
        writer.member("reason", self.reason)
        writer.name("headers")
        writer.beginArray()
        for (name, value) in self.headers {
            writer.beginArray()
            writer.append(name)
            writer.append(value)
            writer.endArray()
        }
        writer.endArray()
        if self.failedSo { writer.member("failedSo", true) }
        writer.endObject()
        return writer.bytes
    }
}

/// No response came: the error that Node's network code would have made.
package struct HostFailure: Sendable, Equatable {
    /// `ECONNREFUSED`.
    package var code: String
    package var message: String
    package var syscall: String?
    package var address: String?
    package var port: Int?
    /// As in `HostResponse`.
    package var failedSo: Bool

    package init(
        code: String,
        message: String,
        syscall: String? = nil,
        address: String? = nil,
        port: Int? = nil,
        failedSo: Bool = false
    ) {
        self.code = code
        self.message = message
        self.syscall = syscall
        self.address = address
        self.port = port
        self.failedSo = failedSo
    }

    fileprivate var encoded: [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("code", self.code)
        writer.member("message", self.message)
        if let syscall = self.syscall {
            writer.member("syscall", syscall)
        }
        if let address = self.address {
            writer.member("address", address)
        }
        if let port = self.port {
            writer.member("port", port)
        }
        if self.failedSo { writer.member("failedSo", true) }
        writer.endObject()
        return writer.bytes
    }
}

/// A reply as it is written, but for its place.
struct EncodedReply: Sendable {
    let kind: FrameKind
    let head: [UInt8]
    let body: [UInt8]
    var hold: (any Sendable)?

    func append(to writer: inout FrameWriter, evaluation: UInt32, request: UInt32) {
        if self.kind == .failed {
            writer.append(.failed, evaluation, .number(request), .bytes(self.head[...]))
        } else {
            writer.append(
                self.kind,
                evaluation,
                .numberedPart(request, self.head[...]),
                .body(self.body[...], hold: self.hold)
            )
        }
    }
}
