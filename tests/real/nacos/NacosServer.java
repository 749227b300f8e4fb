import com.alibaba.nacos.core.code.ControllerMethodsCache;
import org.springframework.beans.factory.InitializingBean;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.boot.web.servlet.ServletComponentScan;
import org.springframework.context.annotation.Bean;
import org.springframework.scheduling.annotation.EnableScheduling;

/** Nacos' server of its parts on Maven Central: what its console module does, which is not there, without the console. */
@SpringBootApplication(scanBasePackages = "com.alibaba.nacos")
@ServletComponentScan("com.alibaba.nacos")
@EnableScheduling
public class NacosServer {
  public static void main(String[] arguments) {
    SpringApplication.run(NacosServer.class, arguments);
  }

  @Bean
  InitializingBean controllers(ControllerMethodsCache methods) {
    return () -> {
      for (String part : new String[] {"core.controller", "naming.controllers", "config.server.controller"}) {
        methods.initClassMethod("com.alibaba.nacos." + part);
      }
    };
  }
}
