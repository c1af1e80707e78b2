import AfterloginJSON

/// An evaluation waits for a promise that will never come, on a host where others were ended.
struct WaitsMessage {
    /// Of what was loaded; one of the evaluation's.
    let rule: Int

    /// Takes the rest of a frame, behind the secret.
    init(_ frame: Frame, rules: Range<Int>) throws(ProtocolViolation) {
        self.rule = try JSONText.message(frame.payload, "what waits")["rule"].rule(of: rules)
    }
}
