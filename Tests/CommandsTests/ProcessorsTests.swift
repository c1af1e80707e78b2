import AfterloginSystem
import Testing

@Suite("The processors that this process may use")
struct ProcessorsTests {
    @Test(
        arguments: [
            ("max 100000\n", nil), ("200000 100000\n", 2), ("150000 100000", 2), ("10000 100000", 1), ("", nil),
            ("100000", nil), ("a b", nil), ("0 100000", nil), ("100000 0", nil), ("-1 100000", nil),
        ] as [(String, Int?)]
    )
    func theQuotaOfTheControlGroupIsRoundedUp(text: String, count: Int?) {
        #expect(Processors.quota(text) == count)
    }

    @Test func thereIsOneAtLeast() { #expect(Processors.count >= 1) }
}
