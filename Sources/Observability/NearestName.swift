/// The name that was probably meant.
package enum NearestName {
    /// The candidate with the least edit distance, where that is small enough to be a slip.
    package static func find(_ name: String, among candidates: some Sequence<String>) -> String? {
        let best = candidates.map { (name: $0, distance: self.distance(Array(name.utf8), Array($0.utf8))) }
            .min { ($0.distance, $0.name) < ($1.distance, $1.name) }
        guard let best, best.distance <= max(1, name.utf8.count / 3) else { return nil }
        return best.name
    }

    /// Levenshtein's with swaps: insertions, deletions and exchanges of bytes, and two neighbours that changed places.
    ///
    /// Names are short, but what people type need not be.
    private static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
        guard left.count <= 64, right.count <= 64 else { return Int.max }
        var rows = [Array(0...right.count)]
        for (index, byte) in left.enumerated() {
            let above = rows[index]
            var row = [index + 1]
            for (column, other) in right.enumerated() {
                var cost = min(above[column + 1] + 1, row[column] + 1, above[column] + (byte == other ? 0 : 1))
                if index > 0, column > 0, byte == right[column - 1], left[index - 1] == other {
                    cost = min(cost, rows[index - 1][column - 1] + 1)
                }
                row.append(cost)
            }
            rows.append(row)
        }
        return rows[left.count][right.count]
    }
}
