import AfterloginCRDKafka
import Glibc

/// Wakes a thread that waits for several queues and for commands: an `eventfd`.
///
/// librdkafka writes to the descriptor when a queue goes from empty to non-empty, and only then; so whoever was woken polls
/// its queues until they are empty.
package final class Waker: Sendable {
    let descriptor: Int32

    package init() throws(KafkaError) {
        self.descriptor = afterlogin_make_eventfd()
        guard self.descriptor >= 0 else {
            throw KafkaError(code: "_FAIL", number: -196, message: "cannot make an eventfd: \(errno)")
        }
    }

    deinit { close(self.descriptor) }

    package func wake() {
        var one: UInt64 = 1
        _ = unsafe write(self.descriptor, &one, 8)
    }

    /// Returns when woken, also by a wake from before the call, or after `timeout`.
    package func wait(_ timeout: Duration) {
        var descriptor = pollfd(fd: self.descriptor, events: Int16(POLLIN), revents: 0)
        guard unsafe poll(&descriptor, 1, timeout.timeoutMilliseconds) > 0 else { return }
        var count: UInt64 = 0
        _ = unsafe read(self.descriptor, &count, 8)
    }
}
