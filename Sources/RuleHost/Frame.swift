/// Kinds of frames, as `JavaScript/frames.js` has them.
enum FrameKind: UInt8 {
    case load = 1
    case evaluate = 2
    case response = 3
    case failed = 4
    case cancel = 5
    case ping = 6
    /// Asks a host to take nothing new and to end when it is done.
    case retire = 7
    /// As `evaluate`, of one that is suspected: the host names its rules on the watchdog's descriptor before they run.
    case evaluateAlone = 8
    /// What an evaluation asks for is away: it is answered by `done` with the state before its first incomplete rule.
    case end = 9
    case loaded = 65
    case refused = 66
    case done = 67
    case request = 68
    case cancelRequest = 69
    case console = 70
    case warning = 71
    case pong = 72
    case waits = 73
}

/// `u32 length of the payload, u8 kind, u32 evaluation, payload`, little endian.
struct Frame {
    static let headerBytes = 9

    var kind: FrameKind
    var evaluation: UInt32
    var payload: ArraySlice<UInt8>

    /// Takes a number of four bytes off the front of the payload.
    mutating func takeNumber() throws(ProtocolViolation) -> UInt32 {
        guard self.payload.count >= 4 else { throw ProtocolViolation("a frame is too short") }
        defer { self.payload = self.payload.dropFirst(4) }
        return self.payload.littleEndian(at: self.payload.startIndex)
    }

    /// Takes a part with its length in front off the front of the payload.
    mutating func takePart() throws(ProtocolViolation) -> ArraySlice<UInt8> {
        let count = try self.takeNumber()
        guard count <= self.payload.count else { throw ProtocolViolation("a part is longer than its frame") }
        defer { self.payload = self.payload.dropFirst(Int(count)) }
        return self.payload.prefix(Int(count))
    }

    /// Takes a part that begins with a number.
    mutating func takeNumberedPart() throws(ProtocolViolation) -> (number: UInt32, ArraySlice<UInt8>) {
        var inner = Frame(kind: self.kind, evaluation: self.evaluation, payload: try self.takePart())
        return (try inner.takeNumber(), inner.payload)
    }

    mutating func takeSecret() throws(ProtocolViolation) -> EvaluationSecret {
        let low = UInt64(try self.takeNumber()) | UInt64(try self.takeNumber()) << 32
        let high = UInt64(try self.takeNumber()) | UInt64(try self.takeNumber()) << 32
        return EvaluationSecret(bytes: (low, high))
    }
}

/// Frames to be written to one host: small ones in one buffer, large bodies as they are.
struct FrameWriter {
    private static let largeBytes = 64 << 10

    /// A body that is written as it is, and what its memory is counted by until then.
    private struct Chunk {
        var bytes: ArraySlice<UInt8>
        var hold: (any Sendable)?
    }

    /// To be written before `bytes`.
    private var earlier: [Chunk] = []
    private var bytes: [UInt8] = []
    /// Of the first of them.
    private var written = 0
    /// What is not written yet, in all.
    private(set) var count = 0

    var isEmpty: Bool { self.count == 0 }
    /// What can be written now.
    var unwritten: ArraySlice<UInt8> { (self.earlier.first?.bytes ?? self.bytes[...]).dropFirst(self.written) }

    mutating func wrote(_ count: Int) {
        self.written += count
        self.count -= count
        if let first = self.earlier.first {
            guard self.written == first.bytes.count else { return }
            self.earlier.removeFirst()
        } else {
            guard self.isEmpty else { return }
            // Many frames at a time must not hold their memory for ever.
            self.bytes.removeAll(keepingCapacity: self.bytes.capacity <= 1 << 20)
        }
        self.written = 0
    }

    mutating func append(_ kind: FrameKind, _ evaluation: UInt32, _ pieces: Piece...) {
        let count = pieces.reduce(0) { $0 + $1.count }
        self.count += Frame.headerBytes + count
        self.append(UInt32(count))
        self.bytes.append(kind.rawValue)
        self.append(evaluation)
        for piece in pieces {
            switch piece {
            case .number(let number): self.append(number)
            case .secret(let secret):
                for word in [secret.bytes.0, secret.bytes.1] {
                    self.append(UInt32(truncatingIfNeeded: word))
                    self.append(UInt32(truncatingIfNeeded: word >> 32))
                }
            case .bytes(let bytes): self.append(bytes, nil)
            // Small ones are copied, and the memory that is counted goes at once.
            case .body(let bytes, let hold): self.append(bytes, hold)
            case .part(let bytes):
                self.append(UInt32(bytes.count))
                self.bytes += bytes
            case .numberedPart(let number, let bytes):
                self.append(UInt32(bytes.count + 4))
                self.append(number)
                self.bytes += bytes
            }
        }
    }

    enum Piece {
        case number(UInt32)
        case secret(EvaluationSecret)
        case bytes(ArraySlice<UInt8>)
        /// With what its memory is counted by: let go when it is written or dropped.
        case body(ArraySlice<UInt8>, hold: (any Sendable)?)
        /// With its length in front.
        case part(ArraySlice<UInt8>)
        /// A number and bytes, with the length of both in front.
        case numberedPart(UInt32, ArraySlice<UInt8>)

        var count: Int {
            switch self {
            case .number: 4
            case .secret: EvaluationSecret.byteCount
            case .bytes(let bytes), .body(let bytes, _): bytes.count
            case .part(let bytes): bytes.count + 4
            case .numberedPart(_, let bytes): bytes.count + 8
            }
        }
    }

    private mutating func append(_ bytes: ArraySlice<UInt8>, _ hold: (any Sendable)?) {
        guard bytes.count > Self.largeBytes else {
            self.bytes += bytes
            return
        }
        self.earlier += [Chunk(bytes: self.bytes[...]), Chunk(bytes: bytes, hold: hold)]
        self.bytes = []
    }

    private mutating func append(_ number: UInt32) {
        for shift in stride(from: 0, to: 32, by: 8) { self.bytes.append(UInt8(truncatingIfNeeded: number >> shift)) }
    }
}

/// Cuts what a host wrote into frames.
struct FrameDecoder {
    let maxFrameBytes: Int
    private var bytes: [UInt8] = []
    private var start = 0

    init(maxFrameBytes: Int) { self.maxFrameBytes = maxFrameBytes }

    mutating func received(_ chunk: ArraySlice<UInt8>) {
        if self.start == self.bytes.count {
            self.bytes.removeAll(keepingCapacity: self.bytes.capacity <= 1 << 20)
            self.start = 0
        } else if self.start > 1 << 16 {
            self.bytes.removeFirst(self.start)
            self.start = 0
        }
        self.bytes += chunk
    }

    /// The next whole frame, or nil when more must be read.
    mutating func next() throws(ProtocolViolation) -> Frame? {
        guard self.bytes.count - self.start >= Frame.headerBytes else { return nil }
        let count = Int(self.bytes[self.start...].littleEndian(at: self.start))
        guard count <= self.maxFrameBytes else {
            throw ProtocolViolation("a frame of \(count) bytes, \(self.maxFrameBytes) are allowed")
        }
        let code = self.bytes[self.start + 4]
        guard let kind = FrameKind(rawValue: code), code > 64 else {
            throw ProtocolViolation("a frame of unknown kind \(code)")
        }
        let end = self.start + Frame.headerBytes + count
        guard end <= self.bytes.count else { return nil }
        let evaluation = self.bytes[self.start...].littleEndian(at: self.start + 5)
        let payload = self.bytes[(self.start + Frame.headerBytes)..<end]
        self.start = end
        return Frame(kind: kind, evaluation: evaluation, payload: payload)
    }
}

extension ArraySlice<UInt8> {
    fileprivate func littleEndian(at index: Int) -> UInt32 {
        UInt32(self[index]) | UInt32(self[index + 1]) << 8 | UInt32(self[index + 2]) << 16 | UInt32(self[index + 3])
            << 24
    }
}
