/// What waits, the earliest arrival first; anything can leave from the middle.
///
/// O(log n): a binary heap; what leaves from the middle stays in it until it comes up, or until half of the heap is such.
package struct ArrivalQueue<Element: Sendable>: Sendable {
    private struct Place: Sendable {
        var arrival: UInt64
        var id: UInt64

        func precedes(_ other: Place) -> Bool { (self.arrival, self.id) < (other.arrival, other.id) }
    }

    private var heap: [Place] = []
    private var elements: [UInt64: (arrival: UInt64, element: Element)] = [:]

    package init() {}

    package var count: Int { self.elements.count }
    package var isEmpty: Bool { self.elements.isEmpty }

    /// Whether that one waits.
    package func contains(_ id: UInt64) -> Bool { self.elements[id] != nil }

    /// It waits from now on; one with this id that waits already is replaced.
    package mutating func insert(_ element: Element, id: UInt64, arrival: UInt64) {
        let old = self.elements.updateValue((arrival, element), forKey: id)
        if old?.arrival == arrival { return }
        self.heap.append(Place(arrival: arrival, id: id))
        self.siftUp(self.heap.count - 1)
        self.compactIfSparse()
    }

    /// It waits no longer.
    @discardableResult
    package mutating func remove(_ id: UInt64) -> Element? {
        guard let removed = self.elements.removeValue(forKey: id) else { return nil }
        self.compactIfSparse()
        return removed.element
    }

    /// The earliest.
    package mutating func first() -> Element? {
        self.dropLeft()
        return self.heap.first.flatMap { self.elements[$0.id]?.element }
    }

    /// Takes the earliest.
    package mutating func popFirst() -> Element? {
        self.dropLeft()
        guard let place = self.heap.first else { return nil }
        self.removeTop()
        return self.elements.removeValue(forKey: place.id)?.element
    }

    /// Takes the earliest that fits, or nil; those before it keep their places.
    ///
    /// At most `most` are looked at.
    package mutating func popFirst(of most: Int, where fits: (Element) -> Bool) -> Element? {
        var passed: [Place] = []
        defer {
            for place in passed {
                self.heap.append(place)
                self.siftUp(self.heap.count - 1)
            }
        }
        while passed.count < most {
            self.dropLeft()
            guard let place = self.heap.first, let element = self.elements[place.id]?.element else { return nil }
            self.removeTop()
            if fits(element) {
                self.elements[place.id] = nil
                return element
            }
            passed.append(place)
        }
        return nil
    }

    /// Takes all, in no order.
    package mutating func removeAll() -> [Element] {
        let all = self.elements.values.map(\.element)
        self.elements.removeAll()
        self.heap.removeAll()
        return all
    }

    /// All that wait, in no order.
    package var all: some Sequence<Element> { self.elements.values.lazy.map(\.element) }

    private func isLeft(_ place: Place) -> Bool { self.elements[place.id]?.arrival != place.arrival }

    private mutating func dropLeft() {
        while let place = self.heap.first, self.isLeft(place) { self.removeTop() }
    }

    private mutating func compactIfSparse() {
        guard self.heap.count > 32, self.heap.count > 2 * self.elements.count else { return }
        self.heap = self.elements.map { Place(arrival: $0.value.arrival, id: $0.key) }
        self.heap.sort { $0.precedes($1) }
    }

    private mutating func removeTop() {
        self.heap.swapAt(0, self.heap.count - 1)
        self.heap.removeLast()
        var index = 0
        while true {
            var smallest = index
            for child in [2 * index + 1, 2 * index + 2] where child < self.heap.count {
                if self.heap[child].precedes(self.heap[smallest]) { smallest = child }
            }
            guard smallest != index else { return }
            self.heap.swapAt(index, smallest)
            index = smallest
        }
    }

    private mutating func siftUp(_ start: Int) {
        var index = start
        while index > 0 {
            let parent = (index - 1) / 2
            guard self.heap[index].precedes(self.heap[parent]) else { return }
            self.heap.swapAt(index, parent)
            index = parent
        }
    }
}
