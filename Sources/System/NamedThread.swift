import AfterloginCLinux
import Glibc

/// Threads of our own: what blocks must never run in Swift's cooperative pool.
package enum NamedThread {
    private final class Body {
        let name: String
        let run: () -> Void

        init(name: String, run: @escaping () -> Void) {
            self.name = name
            self.run = run
        }
    }

    /// Starts a detached thread.
    ///
    /// The kernel keeps 15 bytes of the name.
    package static func start(_ name: String, _ body: @escaping @Sendable () -> Void) {
        let argument = unsafe Unmanaged.passRetained(Body(name: name, run: body)).toOpaque()
        var thread = pthread_t()
        let result = unsafe pthread_create(
            &thread,
            nil,
            { argument in
                guard let argument = unsafe argument else { return nil }
                let body = unsafe Unmanaged<Body>.fromOpaque(argument).takeRetainedValue()
                NamedThread.nameCurrent(body.name)
                body.run()
                return nil
            },
            argument
        )
        precondition(result == 0, "cannot create the thread \(name): error \(result)")
        pthread_detach(thread)
    }

    /// Names the thread that calls: one that a library has started.
    package static func nameCurrent(_ name: String) { unsafe shim_name_thread(name) }

    /// Runs a blocking call on a thread of its own.
    package static func run<Value: Sendable, Failure: Error>(
        _ name: String,
        _ body: @escaping @Sendable () throws(Failure) -> Value
    ) async throws(Failure) -> Value {
        let result = await withCheckedContinuation {
            (continuation: CheckedContinuation<Result<Value, Failure>, Never>) in
            Self.start(name) {
                continuation.resume(returning: Result(catching: body))
            }
        }
        return try result.get()
    }
}
