// nacos-sdk-go v2, and v1 after make-clients.sh has changed its imports and what a callback takes: what every client of these
// tests does, in this order (see test_nacos_clients.py).
package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/nacos-group/nacos-sdk-go/v2/clients"
	"github.com/nacos-group/nacos-sdk-go/v2/common/constant"
	"github.com/nacos-group/nacos-sdk-go/v2/model"
	"github.com/nacos-group/nacos-sdk-go/v2/vo"
)

func shown(ip string, port uint64, metadata map[string]string) string {
	return fmt.Sprintf("%s:%d %s", ip, port, metadata["gray.tag"])
}

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Println("!", err)
		os.Exit(1)
	}
	return value
}

func main() {
	host, port, _ := strings.Cut(os.Args[1], ":")
	number := must(strconv.ParseUint(port, 10, 64))
	folder := must(os.MkdirTemp("", "nacos"))
	where := vo.NacosClientParam{
		ServerConfigs: []constant.ServerConfig{*constant.NewServerConfig(host, number)},
		ClientConfig: constant.NewClientConfig(constant.WithUsername(os.Args[2]), constant.WithPassword(os.Args[3]),
			constant.WithLogDir(folder), constant.WithCacheDir(folder), constant.WithLogLevel("error"),
			constant.WithNotLoadCacheAtStart(true)),
	}
	naming := must(clients.NewNamingClient(where))
	pushed := make(chan string, 10)
	subscription := &vo.SubscribeParam{ServiceName: "orders", SubscribeCallback: func(seen []model.Instance, err error) {
		if len(seen) > 0 {
			pushed <- shown(seen[0].Ip, seen[0].Port, seen[0].Metadata)
		}
	}}
	if err := naming.Subscribe(subscription); err != nil && !strings.Contains(err.Error(), "empty") {
		must(0, err)
	}
	must(naming.RegisterInstance(vo.RegisterInstanceParam{Ip: "10.0.0.1", Port: 8080, ServiceName: "orders", Weight: 1,
		Enable: true, Healthy: true, Ephemeral: true, Metadata: map[string]string{"gray.tag": "gray"}}))
	fmt.Println("> registered")
	select {
	case seen := <-pushed:
		fmt.Println("> pushed", seen)
	case <-time.After(30 * time.Second):
	}
	listed := must(naming.SelectAllInstances(vo.SelectAllInstancesParam{ServiceName: "orders"}))
	fmt.Println("> listed", shown(listed[0].Ip, listed[0].Port, listed[0].Metadata))
	config := must(clients.NewConfigClient(where))
	fmt.Println("> published", must(config.PublishConfig(vo.ConfigParam{DataId: "demo", Group: "G", Content: "one"})))
	fmt.Println("> read", must(config.GetConfig(vo.ConfigParam{DataId: "demo", Group: "G"})))
	told := make(chan string, 10)
	if err := config.ListenConfig(vo.ConfigParam{DataId: "demo", Group: "G", OnChange: func(_, _, _, text string) {
		told <- text
	}}); err != nil {
		must(0, err)
	}
	time.Sleep(500 * time.Millisecond)
	must(config.PublishConfig(vo.ConfigParam{DataId: "demo", Group: "G", Content: "two"}))
	for text := range told {
		if text == "two" {
			fmt.Println("> notified", text)
			break
		}
	}
	must(naming.DeregisterInstance(vo.DeregisterInstanceParam{Ip: "10.0.0.1", Port: 8080, ServiceName: "orders", Ephemeral: true}))
	os.Exit(0)
}
