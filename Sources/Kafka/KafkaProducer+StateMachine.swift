extension KafkaProducer {
    /// What waits outside librdkafka: messages that are gathered, those that did not fit into its queue, and those to be sent again.
    ///
    /// Order per key: a key with a failed message is *held*. Its failed messages are sent again one after the other, in the order of the calls, and
    /// messages of that key that come meanwhile queue up behind them. What cannot be helped: a message of that key that was already in librdkafka when an earlier one failed
    /// may be written before it.
    ///
    /// Pure: no clock, no C call, and no completion is called in here.
    struct StateMachine {
        struct Send: Equatable {
            var sequence: UInt
            var message: KafkaMessage
            /// In a batch of its own, so that it fails for its own size only.
            var isAlone: Bool
        }

        enum SubmittedAction: Equatable {
            case send
            case hold
            /// The first of those that are gathered: the thread is to be told.
            case gather
        }

        enum FailedAction: Equatable {
            case fail
            case sendAgain
        }

        /// Messages with the same key and topic keep their order; those without a key have none.
        private enum OrderKey: Hashable {
            case keyed(topic: String, key: [UInt8])
            case single(topic: String, UInt)

            var topic: String {
                switch self {
                case .keyed(let topic, _), .single(let topic, _): topic
                }
            }
        }

        private struct Held {
            /// By sequence.
            var waiting: [Send]
            var underWay: UInt?
            var notBefore: BootTime
            var failures = 0

            mutating func insert(_ send: Send) {
                let place = self.waiting.firstIndex { $0.sequence > send.sequence } ?? self.waiting.endIndex
                self.waiting.insert(send, at: place)
            }
        }

        /// Messages behind which others queue already are handed over in groups, so that librdkafka sends fuller batches: its `linger.ms` is the same at
        /// all times, and 8 in place of 2 saves 40 of 360 µs of processor time a login (a backlog of 20,000, four partitions).
        static let gatheringTime = Duration.milliseconds(8)
        static let firstBackoff = Duration.milliseconds(100)
        static let longestBackoff = Duration.seconds(2)
        /// Room comes with delivery reports, which wake the thread anyway.
        static let fullQueueBackoff = Duration.milliseconds(10)

        /// Nothing goes into librdkafka's queue: its client has ended, and another one takes over.
        var isSuspended = false
        /// When what is gathered goes into librdkafka's queue; nil where the overflow is for want of room.
        private var gatheredUntil: BootTime?
        private var overflow: [Send] = []
        private var overflowStart = 0
        private var held: [OrderKey: Held] = [:]
        private var keysUnderWay: [UInt: OrderKey] = [:]

        /// Something could not be handed over, or not be written.
        var isHolding: Bool { !self.held.isEmpty || (self.hasOverflow && self.gatheredUntil == nil) }
        private var hasOverflow: Bool { self.overflowStart < self.overflow.count }

        private func orderKey(_ sequence: UInt, _ message: KafkaMessage) -> OrderKey {
            message.key.map { .keyed(topic: message.topic, key: $0) } ?? .single(topic: message.topic, sequence)
        }

        /// The common case costs two comparisons.
        mutating func submitted(
            _ sequence: UInt,
            _ message: KafkaMessage,
            gathers: Bool = false,
            now: BootTime
        ) -> SubmittedAction {
            if !self.held.isEmpty {
                let key = self.orderKey(sequence, message)
                if self.held[key] != nil {
                    self.held[key]?.waiting.append(Send(sequence: sequence, message: message, isAlone: false))
                    return .hold
                }
            }
            let isFirst = !self.hasOverflow
            guard !isFirst || gathers || self.isSuspended else { return .send }
            self.overflow.append(Send(sequence: sequence, message: message, isAlone: false))
            guard isFirst, !self.isSuspended else { return .hold }
            self.gatheredUntil = now.advanced(by: Self.gatheringTime)
            return .gather
        }

        /// librdkafka's queue is full; the message goes in when there is room.
        ///
        /// A held one has its time behind it, and the thread would ask for room without a pause.
        mutating func queueWasFull(_ send: Send, now: BootTime) {
            if let key = self.keysUnderWay.removeValue(forKey: send.sequence) {
                self.held[key]?.underWay = nil
                self.held[key]?.waiting.insert(send, at: 0)
                self.held[key]?.notBefore = now.advanced(by: Self.fullQueueBackoff)
            } else {
                self.gatheredUntil = nil
                self.overflow.append(send)
            }
        }

        /// The first of the overflow did not fit in: it is no longer gathered, but waits for room.
        mutating func overflowHasNoRoom() { self.gatheredUntil = nil }

        /// What goes next into librdkafka's queue.
        ///
        /// A message whose key is held by now queues up there.
        mutating func firstOverflow(now: BootTime) -> Send? {
            while self.hasOverflow, !self.isSuspended, self.gatheredUntil.map({ now >= $0 }) ?? true {
                let send = self.overflow[self.overflowStart]
                let key = self.held.isEmpty ? nil : self.orderKey(send.sequence, send.message)
                guard let key, self.held[key] != nil else { return send }
                self.firstOverflowSent()
                self.held[key]?.insert(send)
            }
            return nil
        }

        mutating func firstOverflowSent() {
            self.overflowStart += 1
            guard self.overflowStart == self.overflow.count || self.overflowStart > 4_096 else { return }
            self.overflow.removeFirst(self.overflowStart)
            self.overflowStart = 0
            if self.overflow.isEmpty { self.gatheredUntil = nil }
        }

        /// Gives the topic of a message that was held: it takes messages again.
        @discardableResult
        mutating func delivered(_ sequence: UInt) -> String? {
            guard let key = self.keysUnderWay.removeValue(forKey: sequence), var state = self.held[key] else {
                return nil
            }
            state.underWay = nil
            state.failures = 0
            self.held[key] = state.waiting.isEmpty ? nil : state
            return key.topic
        }

        /// `wasAlone`: the message had no batch neighbours.
        mutating func failed(
            _ send: Send,
            _ kind: DeliveryFailure,
            now: BootTime
        ) -> FailedAction {
            var send = send
            switch kind {
            case .tooLarge where !send.isAlone: send.isAlone = true
            case .transient: break
            case .tooLarge, .permanent:
                // Others of its key may wait for it.
                self.delivered(send.sequence)
                return .fail
            }
            let key = self.keysUnderWay.removeValue(forKey: send.sequence) ?? self.orderKey(send.sequence, send.message)
            var state = self.held[key] ?? Held(waiting: [], underWay: nil, notBefore: now)
            if state.underWay == send.sequence { state.underWay = nil }
            if kind == .transient {
                let backoff = Self.firstBackoff * (1 << min(state.failures, 5))
                state.notBefore = now.advanced(by: min(Self.longestBackoff, backoff))
                state.failures += 1
            }
            state.insert(send)
            self.held[key] = state
            return .sendAgain
        }

        /// What is to be sent again now: of each held key the first message, when none is under way.
        mutating func due(_ now: BootTime) -> [Send] {
            guard !self.held.isEmpty, !self.isSuspended else { return [] }
            var due: [Send] = []
            for (key, state) in self.held
            where state.underWay == nil && state.notBefore <= now && !state.waiting.isEmpty {
                let send = state.waiting[0]
                self.held[key]?.waiting.removeFirst()
                self.held[key]?.underWay = send.sequence
                self.keysUnderWay[send.sequence] = key
                due.append(send)
            }
            return due.sorted { $0.sequence < $1.sequence }
        }

        /// When `due` or the overflow has something next; nil when nothing waits for a time.
        var nextDue: BootTime? {
            guard !self.isSuspended else { return nil }
            let held = self.held.values.filter { $0.underWay == nil }.map(\.notBefore).min()
            guard let held, let gatheredUntil else { return held ?? self.gatheredUntil }
            return min(held, gatheredUntil)
        }

        /// Drops everything that waits in here; returns the sequences, in order.
        mutating func purged() -> [UInt] {
            var dropped = self.overflow[self.overflowStart...].map(\.sequence)
            self.overflow = []
            self.overflowStart = 0
            self.gatheredUntil = nil
            for (key, state) in self.held {
                dropped += state.waiting.map(\.sequence)
                self.held[key]?.waiting = []
                if state.underWay == nil { self.held[key] = nil }
            }
            return dropped.sorted()
        }
    }

    /// What the failure of a delivery means.
    enum DeliveryFailure: Equatable {
        /// Of the batch, so perhaps only of a neighbour.
        case tooLarge
        /// Sent again until it works: the cluster's trouble, not the message's.
        case transient
        case permanent
    }
}
