import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.internals.BuiltInPartitioner;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/* Reads a topic with Kafka's own Java client and counts records that lie in another partition than the one that
 * Java's producer gives their key, and keys that are in two partitions: Contract BROKERS TOPIC RECORDS SECONDS. */
public final class Contract {
    public static void main(String[] arguments) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", arguments[0]);
        settings.put("key.deserializer", ByteArrayDeserializer.class.getName());
        settings.put("value.deserializer", ByteArrayDeserializer.class.getName());
        long wanted = Long.parseLong(arguments[2]);
        long end = System.nanoTime() + Long.parseLong(arguments[3]) * 1_000_000_000L;
        long records = 0;
        long misplaced = 0;
        long keyless = 0;
        long headers = 0;
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(settings)) {
            List<TopicPartition> partitions = new ArrayList<>();
            for (PartitionInfo partition : consumer.partitionsFor(arguments[1])) {
                partitions.add(new TopicPartition(arguments[1], partition.partition()));
            }
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            while (records < wanted && System.nanoTime() < end) {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(200))) {
                    records++;
                    headers += record.headers().toArray().length;
                    if (record.key() == null) {
                        keyless++;
                    } else if (BuiltInPartitioner.partitionForKey(record.key(), partitions.size()) != record.partition()) {
                        misplaced++;
                    }
                }
            }
            System.out.printf("{\"records\":%d,\"misplaced\":%d,\"keyless\":%d,\"headers\":%d,\"partitions\":%d}%n",
                records, misplaced, keyless, headers, partitions.size());
        }
    }
}
