import AfterloginSystem
import Testing

@Suite("Instants as text")
struct TimestampTests {
    @Test(arguments: [
        "2026-11-24T10:00:00Z", "2026-11-24t10:00:00z", "2026-11-24 10:00:00.123456789Z", "2026-11-24T10:00:00+01:00",
        "2026-11-24T10:00:00.5-00:30", "2024-02-29T23:59:60Z", "2000-02-29T00:00:00Z", "2026-11-24T10:00:00+23:59",
    ])
    func theFormOfRFC3339IsKnown(text: String) { #expect(Timestamp.isValid(text)) }

    @Test(arguments: [
        "", "now", "2026-11-24", "2026-11-24T10:00:00", "2026-11-24T10:00:00.Z", "2026-11-24T10:00:00+0100",
        "2026-11-24T10:00:00Zx", "2026/11/24T10:00:00Z", "1764000000000", "2026-11-24T10:00:00+01:0x",
        "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-11-00T00:00:00Z", "2026-11-31T00:00:00Z",
        "2026-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2026-11-24T24:00:00Z", "2026-11-24T10:60:00Z",
        "2026-11-24T10:00:61Z", "2026-11-24T10:00:00+24:00", "2026-11-24T10:00:00+01:60",
    ])
    func whatHasAnotherFormIsNot(text: String) { #expect(!Timestamp.isValid(text)) }

    @Test(
        arguments: [
            (0, "1970-01-01T00:00:00.000Z"), (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"), (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
            (Int64.max, "9999-12-31T23:59:59.999Z"),
        ] as [(Int64, String)]
    )
    func millisecondsBecomeADate(milliseconds: Int64, text: String) {
        #expect(Timestamp.text(milliseconds: milliseconds) == text)
        #expect(Timestamp.isValid(text))
    }
}
