import AfterloginCCurl
import AfterloginHTTPMessages
import Glibc
import Synchronization

/// The thread of the client: libcurl's multi handle over epoll.
///
/// Everything of libcurl's lives and dies on this thread; others reach it through the mailbox only.
@safe final class CurlLoop {
    /// Kept for reuse; each takes a few kilobytes.
    private static let maxIdleTransfers = 512
    private static let maxIdleConnections = 1_024
    private static let wakeToken = UInt64.max

    let share: UnsafeMutableRawPointer?
    private let multi: UnsafeMutableRawPointer
    private let mailbox: Mailbox
    private let configuration: HTTPClient.Configuration
    private let authorities: CertificateAuthorities
    private var sockets: WatchedSockets
    private var idle: [CurlTransfer] = []
    /// In flight, by their jobs.
    private var active: [ObjectIdentifier: CurlTransfer] = [:]
    private var waiting = WaitingCalls()
    private var bytes: BytesInFlight
    private var finished: [(Mailbox.Continuation, Result<HTTPResponse, HTTPFailure>)] = []
    /// When libcurl wants to be called whatever happens, in nanoseconds of the monotonic clock.
    private var timer: Int?

    init(configuration: HTTPClient.Configuration, authorities: CertificateAuthorities, mailbox: Mailbox) {
        self.configuration = configuration
        self.authorities = authorities
        self.mailbox = mailbox
        self.bytes = BytesInFlight(limit: configuration.maxBytesInFlight, mailbox)
        let epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        self.sockets = WatchedSockets(epoll: epoll)
        guard let multi = unsafe curl_multi_init(), epoll >= 0 else {
            fatalError("no memory or descriptor left for the HTTP client")
        }
        unsafe self.multi = multi
        unsafe self.share = afterlogin_curl_make_share()
        let context = unsafe Unmanaged.passUnretained(self).toOpaque()
        unsafe afterlogin_curl_multi_set_callbacks(multi, context, interestCallback, timerCallback)
        // Each call has one connection at most, so none of libcurl's ever waits for this: it closes an idle one instead.
        let maxConnections = max(1, configuration.maxCalls)
        unsafe afterlogin_curl_multi_set_number(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, maxConnections)
        let maxIdle = min(Self.maxIdleConnections, maxConnections)
        unsafe afterlogin_curl_multi_set_number(multi, CURLMOPT_MAXCONNECTS, maxIdle)
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
        unsafe epoll_ctl(self.sockets.epoll, EPOLL_CTL_ADD, self.mailbox.wakeDescriptor, &event)
        var commands: [Mailbox.Command] = []
        var events = unsafe [epoll_event](repeating: epoll_event(), count: 256)
        while true {
            let isOpen = self.mailbox.take(into: &commands)
            for command in commands { self.perform(command) }
            commands.removeAll(keepingCapacity: true)
            guard isOpen else { break }
            if let timer = self.timer, timer <= Self.now { self.act(on: CURL_SOCKET_TIMEOUT, 0) }
            self.collectFinished()
            self.letOthersGoOn()
            let next = [self.timer, self.bytes.nextDeadline].compactMap { $0 }.min()
            let timeout = next.map { Int32(clamping: max(0, $0 - Self.now + 999_999) / 1_000_000) } ?? -1
            let sleep = self.mailbox.sleeps() ? timeout : 0
            let count = unsafe epoll_wait(self.sockets.epoll, &events, Int32(events.count), sleep)
            for index in 0..<Int(max(0, count)) {
                let event = unsafe events[index]
                guard unsafe event.data.u64 != Self.wakeToken,
                    let ready = unsafe self.sockets.ready(token: event.data.u64, events: event.events)
                else { continue }
                self.act(on: ready.descriptor, ready.bits)
            }
        }
        self.end()
    }

    private func perform(_ command: Mailbox.Command) {
        switch command {
        case .start(let job, let continuation): self.start(job, continuation)
        case .cancel(let job):
            if let continuation = self.waiting.remove(job) {
                var failure = HTTPFailure.cancelled(sentBytes: false)
                failure.wasHeldBack = true
                self.finished.append((continuation, .failure(failure)))
            }
            // Not found: it has not started yet (and will see the flag), or it has ended.
            guard let transfer = self.active[ObjectIdentifier(job)] else { return }
            self.finish(transfer, nil)
        case .ping(let answer): answer()
        case .look: break
        }
    }

    private func start(_ job: Job, _ continuation: Mailbox.Continuation) {
        if job.isCancelled.load(ordering: .acquiring) {
            self.finished.append((continuation, .failure(.cancelled(sentBytes: false))))
            return
        }
        guard self.waiting.isEmpty, self.mayBegin(job) else {
            self.waiting.append(job, continuation)
            return
        }
        self.begin(job, continuation)
    }

    private func mayBegin(_ job: Job) -> Bool {
        self.active.count < self.configuration.maxCalls && self.bytes.mayBegin(job.request)
    }

    private func begin(_ job: Job, _ continuation: Mailbox.Continuation) {
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
        self.active[ObjectIdentifier(job)] = transfer
        self.bytes.begins(transfer, job.request)
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
            var result = code.map { transfer.result($0) } ?? .failure(self.bytes.cancelled(transfer))
            self.bytes.ends(transfer, &result)
            self.finished.append((continuation, result))
        }
        unsafe curl_multi_remove_handle(self.multi, transfer.easy)
        if let job = transfer.job { self.active.removeValue(forKey: ObjectIdentifier(job)) }
        self.recycle(transfer)
    }

    /// Begins what waited, and lets those read on that have room again.
    private func letOthersGoOn() {
        let resumed = self.bytes.takeResumable(isAwaited: !self.waiting.isEmpty)
        for transfer in resumed {
            unsafe curl_easy_pause(transfer.easy, CURLPAUSE_CONT)
            // It may have the rest in its own buffers, of which epoll knows nothing.
            self.timer = Self.now
        }
        for transfer in self.bytes.overdue(at: Self.now) { self.finish(transfer, CURLE_OPERATION_TIMEDOUT) }
        while let job = self.waiting.first, self.mayBegin(job), let call = self.waiting.popFirst() {
            self.begin(call.job, call.continuation)
        }
        if !resumed.isEmpty || !self.finished.isEmpty { self.collectFinished() }
    }

    /// Whether a transfer may take more of its body now; if not, it has to pause.
    func bodyArrives(_ transfer: CurlTransfer, _ count: Int) -> Bool { self.bytes.arrives(transfer, count) }

    func headerArrives(_ transfer: CurlTransfer, _ count: Int) { self.bytes.takes(transfer, count) }

    private func recycle(_ transfer: CurlTransfer) {
        transfer.clear()
        if self.idle.count < Self.maxIdleTransfers { self.idle.append(transfer) }
    }

    private func end() {
        for transfer in Array(self.active.values) { self.finish(transfer, nil) }
        for continuation in self.waiting.removeAll() { self.finished.append((continuation, .failure(.shutDown))) }
        self.collectFinished()
        self.idle = []
        unsafe curl_multi_cleanup(self.multi)
        unsafe curl_share_cleanup(self.share)
        close(self.sockets.epoll)
        self.mailbox.threadEnded()
    }

    /// OpenSSL writes without `MSG_NOSIGNAL`, and libcurl leaves the signal alone when told to (`CURLOPT_NOSIGNAL`).
    private func blockPipeSignal() {
        var signals = sigset_t()
        unsafe sigemptyset(&signals)
        unsafe sigaddset(&signals, SIGPIPE)
        unsafe pthread_sigmask(SIG_BLOCK, &signals, nil)
    }

    static var now: Int {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return time.tv_sec * 1_000_000_000 + time.tv_nsec
    }

    // MARK: What libcurl calls

    func socketOpened(_ descriptor: Int32) { self.sockets.opened(descriptor) }

    func socketUnwanted(_ descriptor: Int32) -> Int32 {
        self.sockets.closed(descriptor)
        return close(descriptor)
    }

    fileprivate func interestChanged(_ descriptor: Int32, _ interest: Int32) {
        self.sockets.interestChanged(descriptor, interest)
    }

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
