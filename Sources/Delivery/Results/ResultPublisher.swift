package import AfterloginKafka

/// What became of a result that was handed over.
package enum PublishOutcome: Sendable {
    case acknowledged
    /// The topic does not take this record, and says why; others it takes.
    case refused(String)
    /// It was not written, and won't be: purged after a lost assignment, or the publisher was closed.
    case dropped
    /// Nothing can be written any more.
    case failed(KafkaError)
}

/// Where results go.
package protocol ResultPublisher: Sendable {
    /// Hands the result over; the order of calls is the order of one key's results. `completion` is called once, when it is durable.
    ///
    /// `gathers`: other logins wait behind it, so it may be written a moment later together with their results, which is cheaper.
    func publish(_ result: ResultRecord, gathers: Bool, completion: @escaping @Sendable (PublishOutcome) -> Void)
    /// Drops what waits and was not sent.
    func purge()
    /// Waits until all is written, or the time is over; then ends.
    func close(deadline: Duration) async
    /// What keeps results from being written, or nil.
    var problem: String? { get }
    /// Calls back from the publisher's thread, where it has one that everything hangs on.
    func ping(_ answer: @escaping @Sendable () -> Void)
}

extension ResultPublisher {
    package func ping(_ answer: @escaping @Sendable () -> Void) { answer() }
}
