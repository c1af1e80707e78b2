/// Gives back its smallest element first; both ways take logarithmic time.
struct MinimumHeap<Element: Comparable> {
    private var elements: [Element] = []

    var first: Element? { self.elements.first }
    var isEmpty: Bool { self.elements.isEmpty }
    var count: Int { self.elements.count }

    mutating func insert(_ element: Element) {
        var index = self.elements.count
        self.elements.append(element)
        while index > 0 {
            let parent = (index - 1) / 2
            guard self.elements[index] < self.elements[parent] else { return }
            self.elements.swapAt(index, parent)
            index = parent
        }
    }

    @discardableResult
    mutating func removeFirst() -> Element? {
        guard let last = self.elements.popLast() else { return nil }
        guard let first = self.elements.first else { return last }
        self.elements[0] = last
        var index = 0
        while true {
            var child = 2 * index + 1
            guard child < self.elements.count else { return first }
            if child + 1 < self.elements.count, self.elements[child + 1] < self.elements[child] { child += 1 }
            guard self.elements[child] < self.elements[index] else { return first }
            self.elements.swapAt(index, child)
            index = child
        }
    }
}

extension MinimumHeap: Sendable where Element: Sendable {}
