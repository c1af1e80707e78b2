import AfterloginKafka

extension Dispatcher {
    /// What the logins ended in, since the start.
    package struct Tally: Sendable, Hashable {
        package var updates = 0
        package var denials = 0
        /// By reason.
        package var failures: [String: Int] = [:]
        package var retries = 0
        package var outages = 0
        package var stale = 0
    }

    /// What is behind the lock: the decisions, and what people are told.
    struct State {
        /// What a step brings beside itself.
        struct Consequence {
            /// May be handed over.
            var results: [(login: AdmittedLogin, result: ResultRecord)] = []
            /// Others wait for a slot: the results may be written together with theirs.
            var isBehind = false
            /// So many results count for nothing.
            var stale = 0
            var ended: (CheckedContinuation<Void, any Error>, Result<Void, any Error>)?
        }

        /// A partition that can't be read from where it should be.
        struct Standing {
            var reason: String
            var since: Dispatch.Instant
        }

        var dispatch: Dispatch
        private(set) var problem: KafkaError?
        private var problemSince: Dispatch.Instant?
        var standing: [TopicPartition: Standing] = [:]
        private(set) var lastProgress: ContinuousClock.Instant
        private(set) var tally = Tally()
        private(set) var failureShare = FailureShare()
        /// Of the login that has just ended; most may be handed over at once, and are never kept.
        private var latest: (login: AdmittedLogin, result: ResultRecord)?
        /// Of logins that have ended and may not be published yet.
        private var results: [AdmittedLogin.ID: ResultRecord] = [:]
        /// Failures that their topic refuses, until it takes them.
        private var refusals: [AdmittedLogin.ID: String] = [:]
        private var refusalNotice = RefusalNotice()
        private var end: Result<Void, any Error>?
        private var waiter: CheckedContinuation<Void, any Error>?

        init(dispatch: Dispatch, lastProgress: ContinuousClock.Instant) {
            self.dispatch = dispatch
            self.lastProgress = lastProgress
        }

        /// How many failures a topic refuses, why, and since when; nil where none does.
        var refusal: (count: Int, reason: String, since: Dispatch.Instant)? {
            let current = self.refusals.filter { self.dispatch.partitions.isCurrent(epoch: $0.key.epoch) }
            guard let first = current.first, let since = self.refusalNotice.since else { return nil }
            return (current.count, first.value, since)
        }

        /// What is wrong with Kafka now; returns how long something has been.
        mutating func problemChanged(_ problem: KafkaError?, _ now: Dispatch.Instant) -> Duration? {
            let lasted = self.problemSince.map { now - $0 }
            self.problem = problem
            self.problemSince = problem == nil ? nil : self.problemSince ?? now
            return lasted
        }

        mutating func assigned(_ partitions: [AssignedPartition], _ now: Dispatch.Instant) -> Dispatch.Step {
            self.lastProgress = now
            return self.dispatch.partitionsAssigned(partitions, now)
        }

        mutating func finished(_ login: AdmittedLogin, _ result: ResultRecord, _ now: Dispatch.Instant) -> Dispatch.Step
        {
            self.latest = (login, result)
            return self.dispatch.finished(login, now)
        }

        mutating func heldBack(_ login: AdmittedLogin, _ now: Dispatch.Instant) -> Dispatch.Step {
            let retry = login.retry
            if case .away = retry.wait { self.tally.outages += 1 } else { self.tally.retries += 1 }
            return self.dispatch.heldBack(login, for: retry.reason, until: retry.until, bytes: retry.byteCount, now)
        }

        mutating func becameStale(_ login: AdmittedLogin, _ now: Dispatch.Instant) -> Dispatch.Step {
            self.tally.stale += 1
            return self.dispatch.becameStale(login, now)
        }

        mutating func acknowledged(
            _ login: AdmittedLogin,
            _ kind: ResultRecord.Kind,
            _ reason: String?,
            _ now: Dispatch.Instant
        ) -> Dispatch.Step {
            self.lastProgress = now
            self.noLongerRefused(login)
            switch kind {
            case .update: self.tally.updates += 1
            case .denial: self.tally.denials += 1
            case .failure: self.tally.failures[reason ?? "", default: 0] += 1
            case .changes: break
            }
            self.failureShare.ended(kind == .failure ? reason ?? "" : nil, now: now)
            return self.dispatch.acknowledged(login, now)
        }

        /// The topic of failures does not take it; what to say of that, where it is time to.
        mutating func refused(
            _ login: AdmittedLogin,
            _ reason: String,
            _ now: Dispatch.Instant
        ) -> (notice: String?, step: Dispatch.Step) {
            self.refusals[login.id] = reason
            let notice = self.refusalNotice.refused(reason, waiting: self.refusals.count, now: now)
            return (notice, self.dispatch.refused(login, now))
        }

        mutating func handedOverAgain(
            _ login: AdmittedLogin,
            _ failure: ResultRecord,
            _ now: Dispatch.Instant
        ) -> Dispatch.Step {
            self.results[login.id] = failure
            return self.dispatch.handedOverAgain(login, now)
        }

        private mutating func noLongerRefused(_ login: AdmittedLogin) {
            guard !self.refusals.isEmpty else { return }
            self.refusals[login.id] = nil
            if self.refusals.isEmpty { self.refusalNotice.ended() }
        }

        mutating func dropped(_ login: AdmittedLogin, _ now: Dispatch.Instant) -> Dispatch.Step {
            self.noLongerRefused(login)
            return self.dispatch.dropped(login, now)
        }

        /// The first end counts.
        mutating func failed(_ error: any Error) -> Dispatch.Step {
            if self.end == nil { self.end = .failure(error) }
            return self.dispatch.failed()
        }

        /// `run` waits for the end; what it was, where it has come already.
        mutating func waited(_ waiter: CheckedContinuation<Void, any Error>) -> Result<Void, any Error>? {
            if self.end == nil { self.waiter = waiter }
            return self.end
        }

        mutating func consequence(of step: Dispatch.Step) -> Consequence {
            var consequence = Consequence()
            if let latest = self.latest.take() {
                if step.publishes.count == 1, step.publishes.first == latest.login {
                    consequence.results = [latest]
                } else {
                    self.results[latest.login.id] = latest.result
                }
            }
            consequence.isBehind = self.dispatch.lanes.someAreReady
            for login in step.publishes where !self.results.isEmpty {
                guard let result = self.results.removeValue(forKey: login.id) else { continue }
                consequence.results.append((login, result))
            }
            for login in step.discards where self.results.removeValue(forKey: login.id) != nil {
                consequence.stale += 1
                self.tally.stale += 1
                self.noLongerRefused(login)
            }
            if step.isOver, self.end == nil { self.end = .success(()) }
            if let end = self.end, let waiter = self.waiter.take() { consequence.ended = (waiter, end) }
            return consequence
        }
    }
}
