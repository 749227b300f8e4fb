import com.alibaba.nacos.api.NacosFactory;
import com.alibaba.nacos.api.config.ConfigService;
import com.alibaba.nacos.api.config.listener.AbstractListener;
import com.alibaba.nacos.api.naming.NamingService;
import com.alibaba.nacos.api.naming.listener.NamingEvent;
import com.alibaba.nacos.api.naming.pojo.Instance;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** What every client of these tests does, in this order: see `test_nacos_clients.py`. */
public class Client {
  public static void main(String[] arguments) throws Exception {
    Properties where = new Properties();
    where.put("serverAddr", arguments[0]);
    where.put("username", arguments[1]);
    where.put("password", arguments[2]);
    NamingService naming = NacosFactory.createNamingService(where);
    BlockingQueue<List<Instance>> pushed = new LinkedBlockingQueue<>();
    naming.subscribe("orders", event -> pushed.add(((NamingEvent) event).getInstances()));
    Instance instance = new Instance();
    instance.setIp("10.0.0.1");
    instance.setPort(8080);
    instance.setMetadata(Map.of("gray.tag", "gray"));
    naming.registerInstance("orders", instance);
    say("registered");
    List<Instance> seen;
    do {
      seen = pushed.poll(30, TimeUnit.SECONDS);
    } while (seen.isEmpty());
    say("pushed " + shown(seen));
    say("listed " + shown(naming.getAllInstances("orders", false)));
    ConfigService config = NacosFactory.createConfigService(where);
    say("published " + config.publishConfig("demo", "G", "one"));
    say("read " + config.getConfig("demo", "G", 5000));
    BlockingQueue<String> told = new LinkedBlockingQueue<>();
    config.addListener("demo", "G", new AbstractListener() {
      @Override
      public void receiveConfigInfo(String text) {
        told.add(text);
      }
    });
    Thread.sleep(500);
    config.publishConfig("demo", "G", "two");
    String text;
    do {
      text = told.poll(40, TimeUnit.SECONDS);
    } while ("one".equals(text));
    say("notified " + text);
    naming.deregisterInstance("orders", "10.0.0.1", 8080);
    System.exit(0);
  }

  private static String shown(List<Instance> instances) {
    Instance one = instances.get(0);
    return one.getIp() + ":" + one.getPort() + " " + one.getMetadata().get("gray.tag");
  }

  private static void say(String line) {
    System.out.println("> " + line);
  }
}
