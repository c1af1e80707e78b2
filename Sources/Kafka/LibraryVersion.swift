import AfterloginCRDKafka

/// The librdkafka that is loaded, which may be another than the one we were built with.
package enum LibraryVersion {
    package static var text: String { PropertyPolicy.text(rd_kafka_version()) }
}
