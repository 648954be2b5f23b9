// The same in Go: primitives NAME WORKERS.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"
)

const (
	times    = 20000
	sleepers = 10000
	sleep    = 100 * time.Millisecond
	shortest = 500 * time.Millisecond
)

func spawn() int {
	for n := 0; n < times; n++ {
		done := make(chan int, 1)
		go func() { done <- n }()
		<-done
	}
	return times
}

func queue(bound int) int {
	queue, sum := make(chan int, bound), make(chan int)
	go func() {
		all := 0
		for n := 0; n < times; n++ {
			all += <-queue
		}
		sum <- all
	}()
	for n := 0; n < times; n++ {
		queue <- n
	}
	<-sum
	return times
}

// Go has no event: a channel with room for one does as much here.
func event() int {
	var events [2]chan struct{}
	for i := range events {
		events[i] = make(chan struct{}, 1)
	}
	done := make(chan struct{})
	go func() {
		for n := 0; n < times; n++ {
			<-events[1]
			events[0] <- struct{}{}
		}
		close(done)
	}()
	events[0] <- struct{}{}
	for n := 0; n < times; n++ {
		<-events[0]
		events[1] <- struct{}{}
	}
	<-done
	return 2 * times
}

func both(work func()) int {
	var all sync.WaitGroup
	all.Add(1)
	go func() {
		for n := 0; n < times; n++ {
			work()
		}
		all.Done()
	}()
	for n := 0; n < times; n++ {
		work()
	}
	all.Wait()
	return 2 * times
}

// Nor a semaphore in its standard library.
func semaphore() int {
	one := make(chan struct{}, 1)
	return both(func() {
		one <- struct{}{}
		runtime.Gosched()
		<-one
	})
}

func timers() int {
	var all sync.WaitGroup
	all.Add(sleepers)
	for n := 0; n < sleepers; n++ {
		go func() {
			time.Sleep(sleep)
			all.Done()
		}()
	}
	all.Wait()
	return sleepers
}

func cpu() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func main() {
	workers, err := strconv.Atoi(os.Args[2])
	if err != nil {
		panic(err)
	}
	runtime.GOMAXPROCS(workers)
	benches := map[string]func() int{
		"spawn":     spawn,
		"queue1":    func() int { return queue(1) },
		"queue1024": func() int { return queue(1024) },
		"event":     event,
		"semaphore": semaphore,
		"yield":     func() int { return both(runtime.Gosched) },
		"timers":    timers,
	}
	begun, before, operations := time.Now(), cpu(), 0
	for time.Since(begun) < shortest {
		operations += benches[os.Args[1]]()
	}
	per := func(time time.Duration) float64 { return float64(time.Nanoseconds()) / float64(operations) }
	fmt.Printf("%.1f %.1f\n", per(time.Since(begun)), per(cpu()-before))
}
