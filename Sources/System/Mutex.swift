public import Glibc

/// Stands in for the `Mutex` of Synchronization: pthread's, around a value.
///
/// That one is a futex with priority inheritance, which hands over to the thread that has waited longest, even where that one sleeps: with more threads
/// than cores every busy lock becomes a queue of sleepers. Measured with a chain of two rules on two cores: 7 to 11 % less processor time a login. And
/// it waits inside of a library without instrumentation, so the thread sanitizer reports what it guards; this one it knows.
///
/// Inlinable, so that each target compiles it for its own types; and public, since Swift 6.3 inlines nothing of another target that is `package`.
@safe public struct Mutex<Value: ~Copyable>: ~Copyable, @unchecked Sendable {
    /// One piece of memory for both: there are locks for each login.
    @usableFromInline
    @safe struct Storage: ~Copyable {
        // The first field: a pointer to the storage is one to the lock.
        @usableFromInline var lock = unsafe pthread_mutex_t()
        @usableFromInline var value: Value

        @inlinable init(value: consuming Value) { self.value = value }
    }

    @usableFromInline let storage: UnsafeMutablePointer<Storage>

    @inlinable var lock: UnsafeMutablePointer<pthread_mutex_t> {
        unsafe UnsafeMutableRawPointer(self.storage).assumingMemoryBound(to: pthread_mutex_t.self)
    }

    /// A lock around a value.
    @inlinable public init(_ value: consuming sending Value) {
        unsafe self.storage = .allocate(capacity: 1)
        unsafe self.storage.initialize(to: Storage(value: value))
        unsafe pthread_mutex_init(self.lock, nil)
    }

    @inlinable deinit {
        unsafe pthread_mutex_destroy(self.lock)
        unsafe self.storage.deinitialize(count: 1)
        unsafe self.storage.deallocate()
    }

    /// Gives the value to `body`, and to nobody else meanwhile.
    @inlinable public borrowing func withLock<Result: ~Copyable, Failure: Error>(
        _ body: (inout sending Value) throws(Failure) -> sending Result
    ) throws(Failure) -> sending Result {
        unsafe pthread_mutex_lock(self.lock)
        defer { unsafe pthread_mutex_unlock(self.lock) }
        return try unsafe body(&self.storage.pointee.value)
    }
}
