import AfterloginJSON

/// The figures of two builds, row by row: those of another executable, and this one's.
///
/// Machines are noisy, and get slower and faster for minutes: so the two run in turns, and what counts is the ratio within each pair.
struct BenchComparison {
    /// One row of the table, with one figure of each build for each pair.
    struct Row: Equatable {
        var name: String
        var unit: String
        var others: [Double] = []
        var own: [Double] = []

        /// This build's figure by the other's, pair by pair.
        var inTurn: [Double] { zip(self.own, self.others).map { $1 == 0 ? 0 : $0 / $1 } }
        /// The same in ascending order.
        var ratios: [Double] { self.inTurn.sorted() }
        /// Their median.
        var ratio: Double {
            let sorted = self.ratios
            guard !sorted.isEmpty else { return 0 }
            let middle = sorted.count / 2
            return sorted.count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
        }
    }

    private(set) var rows: [Row] = []

    /// Adds a pair, each as `bench --format json` prints it; rows that only one of them has are left out.
    ///
    /// - Throws: `CommandFailure` for a row that has another unit there.
    mutating func add(other: [JSONValue], own: [JSONValue]) throws(CommandFailure) {
        for figure in own {
            guard let name = figure["row"]?.string, let value = figure["value"]?.double,
                let match = other.first(where: { $0["row"]?.string == name }), let before = match["value"]?.double
            else { continue }
            let unit = figure["unit"]?.string ?? ""
            guard match["unit"]?.string == unit else {
                throw CommandFailure(
                    message: "the other build measures \(name) in \(match["unit"]?.string ?? "nothing"), not in \(unit)"
                )
            }
            let index = self.rows.firstIndex { $0.name == name } ?? self.rows.endIndex
            if index == self.rows.endIndex { self.rows.append(Row(name: name, unit: unit)) }
            self.rows[index].others.append(before)
            self.rows[index].own.append(value)
        }
    }

    // MARK: What it says

    /// What the last pair said.
    func lines(ofPair pair: Int) -> [String] {
        self.rows.compactMap { row in
            guard let other = row.others.last, let own = row.own.last, let ratio = row.inTurn.last else { return nil }
            return
                "pair \(pair)  \(row.name.padded(to: 58)) \(Self.text(other)) -> \(Self.text(own)) \(row.unit)  \(Self.text(ratio))"
        }
    }

    var summary: [String] {
        self.rows.map { row in
            let (low, high) = (row.ratios.first ?? 0, row.ratios.last ?? 0)
            return "\(row.name.padded(to: 58)) this build / the other: median \(Self.text(row.ratio)), "
                + "\(Self.text(low)) to \(Self.text(high)) in \(row.own.count) pairs"
        }
    }

    var json: JSONValue {
        .array(
            self.rows.map { row in
                [
                    "row": .string(row.name), "unit": .string(row.unit),
                    "other": .array(row.others.map { JSONValue($0) }), "own": .array(row.own.map { JSONValue($0) }),
                    "ratio": [
                        "median": Self.rounded(row.ratio), "lowest": Self.rounded(row.ratios.first ?? 0),
                        "highest": Self.rounded(row.ratios.last ?? 0),
                    ],
                ]
            }
        )
    }

    private static func rounded(_ value: Double) -> JSONValue { JSONValue((value * 1_000).rounded() / 1_000) }

    private static func text(_ value: Double) -> String {
        value >= 100 ? String(Int(value.rounded())) : String((value * 1_000).rounded() / 1_000)
    }
}

extension BenchComparison {
    /// Runs both in turns: this build second in odd pairs, first in even ones.
    ///
    /// - Parameters:
    ///   - other: The path of the other executable.
    ///   - pairs: How often each runs.
    ///   - words: What both are asked, as options of `bench`.
    ///   - place: Where they run, with the broker of both.
    ///   - report: Called after each pair.
    /// - Throws: `CommandFailure` where one of them can't be run, or says something else than figures.
    mutating func run(
        against other: String,
        pairs: Int,
        _ words: [String],
        _ place: BenchPlace,
        _ report: (Self, Int) -> Void
    ) async throws {
        for pair in 1...pairs {
            var figures: (other: [JSONValue], own: [JSONValue]) = ([], [])
            if pair.isMultiple(of: 2) { figures.own = try await Self.figures("/proc/self/exe", words, place) }
            figures.other = try await Self.figures(other, words, place)
            if !pair.isMultiple(of: 2) { figures.own = try await Self.figures("/proc/self/exe", words, place) }
            try self.add(other: figures.other, own: figures.own)
            guard !self.rows.isEmpty else {
                throw CommandFailure(message: "\(other) has none of these rows: name others with --only or --rules")
            }
            report(self, pair)
        }
    }

    private static func figures(
        _ executable: String,
        _ words: [String],
        _ place: BenchPlace
    ) async throws -> [JSONValue] {
        let all = [executable, "bench", "--brokers", place.brokers, "--format", "json"] + words
        // A run takes as long as its options say.
        let text = try await BenchPlace.run(all, in: place.folder, patience: .seconds(3_600))
        guard let figures = try? JSONValue(parsing: Array(text.utf8)).array else {
            throw CommandFailure(message: "\(executable) bench printed no figures, but: \(text.prefix(300))")
        }
        return figures
    }
}
