// Reads all jobs with nhooyr.io/websocket and its defaults: read URL [SUBPROTOCOL]
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"nhooyr.io/websocket"
)

type message struct {
	Type string            `json:"type"`
	More bool              `json:"more"`
	Jobs []json.RawMessage `json:"jobs"`
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	options := &websocket.DialOptions{Subprotocols: os.Args[2:]}
	connection, _, err := websocket.Dial(ctx, os.Args[1], options)
	if err != nil {
		fmt.Printf("{\"error\": %q}\n", err.Error())
		return
	}
	jobs, largest := 0, 0
	for {
		_, data, err := connection.Read(ctx)
		if err != nil {
			fmt.Printf("{\"error\": %q}\n", err.Error())
			return
		}
		var value message
		if json.Unmarshal(data, &value) != nil || value.Type != "jobs:delta" {
			continue
		}
		jobs += len(value.Jobs)
		if len(data) > largest {
			largest = len(data)
		}
		if !value.More {
			fmt.Printf("{\"jobs\": %d, \"largest\": %d}\n", jobs, largest)
			connection.Close(websocket.StatusNormalClosure, "")
			return
		}
	}
}
