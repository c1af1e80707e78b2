import CCurl
import Glibc
import Synchronization

/// The thread of the client: libcurl's multi handle over epoll.
///
/// Everything of libcurl's lives and dies on this thread; others reach it through the mailbox only.
@safe final class CurlLoop {
    /// What epoll knows about a descriptor.
    private struct Socket {
        /// Opened by a transfer here; its end is told by `socketUnwanted` where it was connected.
        ///
        /// Such a socket stays registered between two requests, which saves two system calls for each. Others (libcurl's
        /// own, to wait for name resolution) end without a word.
        var isConnection = false
        /// Distinguishes events of the descriptor's earlier lives, which may still be in the batch.
        var generation: UInt32 = 0
        var registered: UInt32 = 0
        var wanted: UInt32 = 0
    }

    /// Kept for reuse; each takes a few kilobytes.
    private static let maxIdleTransfers = 512
    private static let maxIdleConnections = 1_024
    private static let wakeToken = UInt64.max

    let share: UnsafeMutableRawPointer?
    private let multi: UnsafeMutableRawPointer
    private let epoll: Int32
    private let mailbox: Mailbox
    private let configuration: HTTPClient.Configuration
    private let authorities: CertificateAuthorities
    private var sockets: [Socket] = []
    private var idle: [CurlTransfer] = []
    /// In flight, by identity.
    private var active: [ObjectIdentifier: CurlTransfer] = [:]
    private var finished: [(Mailbox.Continuation, Result<HTTPResponse, HTTPFailure>)] = []
    /// When libcurl wants to be called whatever happens, in nanoseconds of the monotonic clock.
    private var timer: Int?

    init(configuration: HTTPClient.Configuration, authorities: CertificateAuthorities, mailbox: Mailbox) {
        self.configuration = configuration
        self.authorities = authorities
        self.mailbox = mailbox
        self.epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard let multi = unsafe curl_multi_init(), self.epoll >= 0 else {
            fatalError("no memory or descriptor left for the HTTP client")
        }
        unsafe self.multi = multi
        unsafe self.share = afterlogin_curl_make_share()
        let context = unsafe Unmanaged.passUnretained(self).toOpaque()
        unsafe afterlogin_curl_multi_set_callbacks(multi, context, interestCallback, timerCallback)
        unsafe afterlogin_curl_multi_set_number(multi, CURLMOPT_MAXCONNECTS, Self.maxIdleConnections)
        unsafe afterlogin_curl_multi_set_number(
            multi,
            CURLMOPT_MAX_HOST_CONNECTIONS,
            max(1, configuration.maxConnectionsPerHost)
        )
    }

    // MARK: The loop

    func run() {
        self.blockPipeSignal()
        var event = unsafe epoll_event(
            events: EPOLLIN.rawValue | EPOLLET.rawValue,
            data: epoll_data(u64: Self.wakeToken)
        )
        unsafe epoll_ctl(self.epoll, EPOLL_CTL_ADD, self.mailbox.wakeDescriptor, &event)
        var commands: [Mailbox.Command] = []
        var events = unsafe [epoll_event](repeating: epoll_event(), count: 256)
        while true {
            let isOpen = self.mailbox.take(into: &commands)
            for command in commands { self.perform(command) }
            commands.removeAll(keepingCapacity: true)
            guard isOpen else { break }
            if let timer = self.timer, timer <= Self.now { self.act(on: CURL_SOCKET_TIMEOUT, 0) }
            self.collectFinished()
            let timeout = self.timer.map { Int32(clamping: max(0, $0 - Self.now + 999_999) / 1_000_000) } ?? -1
            let count = unsafe epoll_wait(self.epoll, &events, Int32(events.count), self.mailbox.sleeps() ? timeout : 0)
            for index in 0..<Int(max(0, count)) {
                let event = unsafe events[index]
                unsafe self.socketReady(token: event.data.u64, events: event.events)
            }
        }
        self.end()
    }

    private func perform(_ command: Mailbox.Command) {
        switch command {
        case .start(let job, let continuation): self.start(job, continuation)
        case .cancel(let job):
            // Not found: it has not started yet (and will see the flag), or it has ended.
            guard let transfer = self.active.values.first(where: { $0.job === job }) else { return }
            self.finish(transfer, nil)
        case .ping(let answer): answer()
        }
    }

    private func start(_ job: Job, _ continuation: Mailbox.Continuation) {
        if job.isCancelled.load(ordering: .acquiring) {
            self.finished.append((continuation, .failure(.cancelled(sentBytes: false))))
            return
        }
        guard
            let transfer = self.idle.popLast()
                ?? CurlTransfer(loop: self, configuration: self.configuration, authorities: self.authorities)
        else {
            let failure = HTTPFailure(kind: .other, message: "no memory left for the HTTP client", code: "ENOMEM")
            self.finished.append((continuation, .failure(failure)))
            return
        }
        transfer.job = job
        transfer.continuation = continuation
        do throws(HTTPFailure) {
            try transfer.prepare(job.request)
        } catch {
            self.finished.append((continuation, .failure(error)))
            self.recycle(transfer)
            return
        }
        self.active[ObjectIdentifier(transfer)] = transfer
        unsafe curl_multi_add_handle(self.multi, transfer.easy)
    }

    private func act(on descriptor: Int32, _ events: Int32) {
        if descriptor == CURL_SOCKET_TIMEOUT { self.timer = nil }
        var running: Int32 = 0
        unsafe curl_multi_socket_action(self.multi, descriptor, events, &running)
    }

    private func collectFinished() {
        var code = CURLE_OK
        while let easy = unsafe afterlogin_curl_take_finished(self.multi, &code) {
            guard let context = unsafe afterlogin_curl_get_context(easy) else { continue }
            self.finish(unsafe Unmanaged<CurlTransfer>.fromOpaque(context).takeUnretainedValue(), code)
        }
        // Resumed here, where nothing of libcurl's is on the stack.
        for (continuation, result) in self.finished { continuation.resume(returning: result) }
        self.finished.removeAll(keepingCapacity: true)
    }

    /// Takes a transfer off the multi handle; `code` is nil where it is cancelled.
    private func finish(_ transfer: CurlTransfer, _ code: CURLcode?) {
        if let continuation = transfer.continuation {
            let result = code.map { transfer.result($0) } ?? .failure(.cancelled(sentBytes: transfer.sentBytes))
            self.finished.append((continuation, result))
        }
        unsafe curl_multi_remove_handle(self.multi, transfer.easy)
        self.active.removeValue(forKey: ObjectIdentifier(transfer))
        self.recycle(transfer)
    }

    private func recycle(_ transfer: CurlTransfer) {
        transfer.clear()
        if self.idle.count < Self.maxIdleTransfers { self.idle.append(transfer) }
    }

    private func end() {
        for transfer in Array(self.active.values) { self.finish(transfer, nil) }
        self.collectFinished()
        self.idle = []
        unsafe curl_multi_cleanup(self.multi)
        unsafe curl_share_cleanup(self.share)
        close(self.epoll)
        self.mailbox.threadEnded()
    }

    /// OpenSSL writes without `MSG_NOSIGNAL`, and libcurl leaves the signal alone when told to (`CURLOPT_NOSIGNAL`).
    private func blockPipeSignal() {
        var signals = sigset_t()
        unsafe sigemptyset(&signals)
        unsafe sigaddset(&signals, SIGPIPE)
        unsafe pthread_sigmask(SIG_BLOCK, &signals, nil)
    }

    private static var now: Int {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return time.tv_sec * 1_000_000_000 + time.tv_nsec
    }

    // MARK: Sockets

    func socketOpened(_ descriptor: Int32) {
        self.reserve(descriptor)
        let former = self.sockets[Int(descriptor)]
        self.sockets[Int(descriptor)] = Socket(isConnection: true, generation: former.generation &+ 1)
        // libcurl (7.88) closes a connection that did not come about without a word, and remembers what it wanted of it:
        // where it wants the same of the next one with this number, it does not say so.
        guard former.isConnection, former.wanted != 0 else { return }
        self.sockets[Int(descriptor)].wanted = former.wanted
        self.register(descriptor, former.wanted)
    }

    func socketUnwanted(_ descriptor: Int32) -> Int32 {
        self.reserve(descriptor)
        // Closing takes it out of epoll.
        let generation = self.sockets[Int(descriptor)].generation &+ 1
        self.sockets[Int(descriptor)] = Socket(generation: generation)
        return close(descriptor)
    }

    fileprivate func interestChanged(_ descriptor: Int32, _ interest: Int32) {
        self.reserve(descriptor)
        let wanted: UInt32 =
            switch interest {
            case CURL_POLL_IN: EPOLLIN.rawValue
            case CURL_POLL_OUT: EPOLLOUT.rawValue
            case CURL_POLL_INOUT: EPOLLIN.rawValue | EPOLLOUT.rawValue
            default: 0
            }
        self.sockets[Int(descriptor)].wanted = wanted
        if wanted == 0, self.sockets[Int(descriptor)].isConnection {
            // Stays for the next request; a readable end of it is taken out when it shows.
            if self.sockets[Int(descriptor)].registered & EPOLLOUT.rawValue != 0 {
                self.register(descriptor, EPOLLIN.rawValue)
            }
        } else {
            self.register(descriptor, wanted)
        }
    }

    private func register(_ descriptor: Int32, _ events: UInt32) {
        let socket = self.sockets[Int(descriptor)]
        guard socket.registered != events else { return }
        let token = UInt64(socket.generation) << 32 | UInt64(UInt32(bitPattern: descriptor))
        var event = unsafe epoll_event(events: events, data: epoll_data(u64: token))
        let operation = events == 0 ? EPOLL_CTL_DEL : socket.registered == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD
        unsafe epoll_ctl(self.epoll, operation, descriptor, &event)
        self.sockets[Int(descriptor)].registered = events
        // A descriptor that libcurl closes by itself comes back with another file behind it.
        if events == 0 { self.sockets[Int(descriptor)].generation &+= 1 }
    }

    private func socketReady(token: UInt64, events: UInt32) {
        guard token != Self.wakeToken else { return }
        let descriptor = Int32(truncatingIfNeeded: token)
        let socket = self.sockets[Int(descriptor)]
        guard socket.generation == UInt32(token >> 32) else { return }
        guard socket.wanted != 0 else {
            // An idle connection that the server closed; libcurl finds out when it looks for one.
            self.register(descriptor, 0)
            return
        }
        var bits: Int32 = 0
        if events & (EPOLLIN.rawValue | EPOLLHUP.rawValue) != 0 { bits |= CURL_CSELECT_IN }
        if events & EPOLLOUT.rawValue != 0 { bits |= CURL_CSELECT_OUT }
        if events & EPOLLERR.rawValue != 0 { bits |= CURL_CSELECT_ERR }
        self.act(on: descriptor, bits)
    }

    private func reserve(_ descriptor: Int32) {
        while self.sockets.count <= Int(descriptor) { self.sockets.append(Socket()) }
    }

    // MARK: Time

    fileprivate func timerChanged(milliseconds: Int) {
        self.timer = milliseconds < 0 ? nil : Self.now + milliseconds * 1_000_000
    }
}

private func interestCallback(
    easy: UnsafeMutableRawPointer?,
    descriptor: curl_socket_t,
    interest: Int32,
    context: UnsafeMutableRawPointer?,
    socketContext: UnsafeMutableRawPointer?
) -> Int32 {
    guard let context = unsafe context else { return -1 }
    unsafe Unmanaged<CurlLoop>.fromOpaque(context).takeUnretainedValue().interestChanged(descriptor, interest)
    return 0
}

private func timerCallback(
    multi: UnsafeMutableRawPointer?,
    milliseconds: Int,
    context: UnsafeMutableRawPointer?
) -> Int32 {
    guard let context = unsafe context else { return -1 }
    unsafe Unmanaged<CurlLoop>.fromOpaque(context).takeUnretainedValue().timerChanged(milliseconds: milliseconds)
    return 0
}
