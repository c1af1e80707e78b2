import AfterloginKafka

extension KafkaError {
    /// What librdkafka says, without its own words around it.
    var forPeople: String {
        // Once is enough: `Local: Broker transport failure: HOST/bootstrap: Connect to HOST failed: …`.
        let text = self.message
            .replacing(#/\ \(after\ \d+ms\ in\ state\ [^)]*\)/#, with: "")
            .replacing(#/ipv[46][#]/#, with: "")
            .replacing(#/^Local:\ [^:]*:\ (?=.)/#, with: "")
            .replacing(#/^[^\ ]+\/(bootstrap|\d+):\ /#, with: "")
        return text.isEmpty ? self.description : text
    }
}
