import AfterloginJSON

/// One line of the table: what was measured, what was aimed at, what came out.
struct BenchFigure {
    enum Aim {
        case atLeast(Double)
        case under(Double)
        case none
    }

    var row: String
    var value: Double
    var unit: String
    var aim = Aim.none
    /// What else is worth knowing.
    var note = ""

    var isMet: Bool? {
        switch self.aim {
        case .atLeast(let least): self.value >= least
        case .under(let most): self.value < most
        case .none: nil
        }
    }

    private var aimText: String {
        switch self.aim {
        case .atLeast(let least): "at least \(Self.text(least))"
        case .under(let most): "under \(Self.text(most))"
        case .none: ""
        }
    }

    private static func text(_ value: Double) -> String {
        value >= 100 || value == value.rounded() ? String(Int(value.rounded())) : String((value * 10).rounded() / 10)
    }

    var line: String {
        let mark = self.isMet.map { $0 ? "ok  " : "MISS" } ?? "    "
        let value = "\(Self.text(self.value)) \(self.unit)"
        let note = self.note.isEmpty ? "" : "  (\(self.note))"
        return "\(mark) \(self.row.padded(to: 58)) \(value.padded(to: 16)) \(self.aimText.padded(to: 16))\(note)"
    }

    var json: JSONValue {
        var value: JSONValue = [
            "row": .string(self.row), "value": JSONValue((self.value * 100).rounded() / 100),
            "unit": .string(self.unit),
        ]
        switch self.aim {
        case .atLeast(let least): value["atLeast"] = JSONValue(least)
        case .under(let most): value["under"] = JSONValue(most)
        case .none: break
        }
        value["met"] = self.isMet.map { JSONValue($0) }
        if !self.note.isEmpty { value["note"] = .string(self.note) }
        return value
    }
}
