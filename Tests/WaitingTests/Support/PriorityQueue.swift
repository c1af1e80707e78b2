/// A binary heap: the smallest element first.
struct PriorityQueue<Element: Comparable> {
    private var heap: [Element] = []

    var count: Int { self.heap.count }
    var isEmpty: Bool { self.heap.isEmpty }
    var first: Element? { self.heap.first }

    mutating func insert(_ element: Element) {
        self.heap.append(element)
        var index = self.heap.count - 1
        while index > 0, self.heap[index] < self.heap[(index - 1) / 2] {
            self.heap.swapAt(index, (index - 1) / 2)
            index = (index - 1) / 2
        }
    }

    mutating func popFirst() -> Element? {
        guard !self.heap.isEmpty else { return nil }
        self.heap.swapAt(0, self.heap.count - 1)
        let first = self.heap.removeLast()
        var index = 0
        while true {
            var smallest = index
            let left = 2 * index + 1
            if left < self.heap.count, self.heap[left] < self.heap[smallest] { smallest = left }
            if left + 1 < self.heap.count, self.heap[left + 1] < self.heap[smallest] { smallest = left + 1 }
            guard smallest != index else { return first }
            self.heap.swapAt(index, smallest)
            index = smallest
        }
    }
}
