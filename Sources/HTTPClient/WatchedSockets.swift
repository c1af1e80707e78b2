import AfterloginCCurl
import Glibc

/// The sockets of libcurl, and what epoll knows about them.
struct WatchedSockets: ~Copyable {
    private struct Socket {
        /// Opened by a transfer here; its end is told by `closed` where it was connected.
        ///
        /// Such a socket stays registered between two requests, which saves two system calls for each. Others (libcurl's
        /// own, to wait for name resolution) end without a word.
        var isConnection = false
        /// Distinguishes events of the descriptor's earlier lives, which may still be in the batch.
        var generation: UInt32 = 0
        var registered: UInt32 = 0
        var wanted: UInt32 = 0
    }

    let epoll: Int32
    private var sockets: [Socket] = []

    /// - Parameter epoll: An epoll descriptor, closed by its owner.
    init(epoll: Int32) { self.epoll = epoll }

    mutating func opened(_ descriptor: Int32) {
        self.reserve(descriptor)
        let former = self.sockets[Int(descriptor)]
        self.sockets[Int(descriptor)] = Socket(isConnection: true, generation: former.generation &+ 1)
        // libcurl (7.88) closes a connection that did not come about without a word, and remembers what it wanted of it:
        // where it wants the same of the next one with this number, it does not say so.
        guard former.isConnection, former.wanted != 0 else { return }
        self.sockets[Int(descriptor)].wanted = former.wanted
        self.register(descriptor, former.wanted)
    }

    /// It is closed by the caller, which takes it out of epoll.
    mutating func closed(_ descriptor: Int32) {
        self.reserve(descriptor)
        let generation = self.sockets[Int(descriptor)].generation &+ 1
        self.sockets[Int(descriptor)] = Socket(generation: generation)
    }

    mutating func interestChanged(_ descriptor: Int32, _ interest: Int32) {
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

    /// What libcurl is to be told of an event; nil: nothing.
    mutating func ready(token: UInt64, events: UInt32) -> (descriptor: Int32, bits: Int32)? {
        let descriptor = Int32(truncatingIfNeeded: token)
        let socket = self.sockets[Int(descriptor)]
        guard socket.generation == UInt32(token >> 32) else { return nil }
        guard socket.wanted != 0 else {
            // An idle connection that the server closed (libcurl finds out when it looks for one), or a paused one.
            self.register(descriptor, 0)
            return nil
        }
        var bits: Int32 = 0
        if events & (EPOLLIN.rawValue | EPOLLHUP.rawValue) != 0 { bits |= CURL_CSELECT_IN }
        if events & EPOLLOUT.rawValue != 0 { bits |= CURL_CSELECT_OUT }
        if events & EPOLLERR.rawValue != 0 { bits |= CURL_CSELECT_ERR }
        return (descriptor, bits)
    }

    private mutating func register(_ descriptor: Int32, _ events: UInt32) {
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

    private mutating func reserve(_ descriptor: Int32) {
        while self.sockets.count <= Int(descriptor) { self.sockets.append(Socket()) }
    }
}
