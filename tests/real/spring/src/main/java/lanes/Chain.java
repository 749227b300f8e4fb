package lanes;

import java.util.concurrent.Callable;
import org.springframework.beans.factory.ObjectProvider;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.boot.web.client.RestTemplateBuilder;
import org.springframework.cloud.client.loadbalancer.LoadBalanced;
import org.springframework.cloud.context.config.annotation.RefreshScope;
import org.springframework.cloud.openfeign.EnableFeignClients;
import org.springframework.cloud.openfeign.FeignClient;
import org.springframework.context.annotation.Bean;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.client.RestTemplate;
import org.springframework.web.reactive.function.client.WebClient;

/** A calls B by RestTemplate (/a) or by WebClient (/w), B calls C by OpenFeign. Each says who it is, and its config value. */
@SpringBootApplication
@EnableFeignClients
public class Chain {
  public static void main(String[] arguments) {
    SpringApplication.run(Chain.class, arguments);
  }

  @Bean
  @LoadBalanced
  RestTemplate rest(RestTemplateBuilder builder) {
    return builder.build();
  }

  @Bean
  @LoadBalanced
  WebClient.Builder web() {
    return WebClient.builder();
  }

  @FeignClient("${c.name:spring-cloud-c}")
  interface C {
    @GetMapping("/c")
    String c();
  }

  @RestController
  @RefreshScope
  static class Hops {
    @Value("${label:?}") String label;
    @Value("${config.value:none}") String config;
    private final RestTemplate rest;
    private final WebClient.Builder web;
    private final ObjectProvider<C> c;

    Hops(RestTemplate rest, WebClient.Builder web, ObjectProvider<C> c) {
      this.rest = rest;
      this.web = web;
      this.c = c;
    }

    private String me() {
      return label + "[config=" + config + "]";
    }

    @GetMapping("/a")
    String a() {
      return me() + " -> " + rest.getForObject("http://spring-cloud-b/b", String.class);
    }

    @GetMapping("/w")
    String w() throws Exception {
      Callable<String> call =
          () -> web.build().get().uri("http://spring-cloud-b/b").retrieve().bodyToMono(String.class).block();
      return me() + " -> " + call.call();
    }

    @GetMapping("/b")
    String b() {
      return me() + " -> " + c.getObject().c();
    }

    @GetMapping("/c")
    String c() {
      return me();
    }
  }
}
