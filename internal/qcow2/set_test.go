package qcow2_test

import (
	"math/rand/v2"
	"testing"

	"holdfast/internal/qcow2"
)

// A set of three pages, the last one short, must behave like a plain list of kinds under any sequence of changes.
func TestSetAgainstList(t *testing.T) {
	const clusters = 2*8192 + 100
	for seed := range uint64(30) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		set, list := qcow2.NewSet(clusters*qcow2.ClusterBytes-1), make([]qcow2.Kind, clusters)
		for range 40 {
			first := rnd.Int64N(clusters)
			n := min(clusters-first, []int64{0, 1, 63, 64, 200, 8192, clusters}[rnd.IntN(7)])
			if rnd.IntN(3) == 0 {
				first -= first % 8192 // whole pages
				n = min(clusters-first, 8192)
			}
			k := qcow2.Kind(rnd.IntN(3))
			set.AddRange(first, n, k)
			for i := first; i < first+n; i++ {
				list[i] = k
			}
		}
		checkSet(t, set, list, seed)
	}
}

func checkSet(t *testing.T, set *qcow2.Set, list []qcow2.Kind, seed uint64) {
	t.Helper()
	var data, zero, next int64
	for i, want := range list {
		if got := set.Kind(int64(i)); got != want {
			t.Fatalf("seed %d: cluster %d is %d, want %d", seed, i, got, want)
		}
		switch want {
		case qcow2.Data:
			data++
		case qcow2.Zero:
			zero++
		case qcow2.None:
			continue
		}
		cluster, kind, ok := set.Next(next)
		if !ok || cluster != int64(i) || kind != want {
			t.Fatalf("seed %d: next from %d is %d, %d, %t; want %d, %d", seed, next, cluster, kind, ok, i, want)
		}
		next = cluster + 1
	}
	if cluster, _, ok := set.Next(next); ok {
		t.Fatalf("seed %d: next from %d is %d, want none", seed, next, cluster)
	}
	if set.Clusters() != int64(len(list)) || set.DataClusters() != data || set.ZeroClusters() != zero {
		t.Fatalf("seed %d: %d clusters, %d data, %d zero; want %d, %d, %d", seed,
			set.Clusters(), set.DataClusters(), set.ZeroClusters(), len(list), data, zero)
	}
}

// Without leaves what the other set does not hold, whatever the two sizes, and changes neither.
func TestSetWithout(t *testing.T) {
	sizes := []int64{100, 8192, 8192 + 100, 3*8192 + 7}
	for seed := range uint64(40) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		random := func() (*qcow2.Set, []qcow2.Kind) {
			clusters := sizes[rnd.IntN(len(sizes))]
			set, list := qcow2.NewSet(clusters*qcow2.ClusterBytes), make([]qcow2.Kind, clusters)
			for range rnd.IntN(5) {
				first := rnd.Int64N(clusters)
				if rnd.IntN(2) == 0 {
					first = 0
				}
				n, k := rnd.Int64N(clusters-first)+1, qcow2.Kind(rnd.IntN(3))
				set.AddRange(first, n, k)
				for i := first; i < first+n; i++ {
					list[i] = k
				}
			}
			return set, list
		}
		a, listA := random()
		b, listB := random()
		left := make([]qcow2.Kind, len(listA))
		for i := range left {
			if i >= len(listB) || listB[i] == qcow2.None {
				left[i] = listA[i]
			}
		}
		got := a.Without(b)
		checkSet(t, got, left, seed)
		got.AddRange(0, got.Clusters(), qcow2.Data)
		checkSet(t, a, listA, seed)
		checkSet(t, b, listB, seed)
	}
}

func TestSetOutside(t *testing.T) {
	set := qcow2.NewSet(3 * qcow2.ClusterBytes)
	if set.Kind(-1) != qcow2.None || set.Kind(3) != qcow2.None {
		t.Error("a cluster outside of the image is not None")
	}
	if n := qcow2.NewSet(-1).Clusters(); n != 0 {
		t.Errorf("a set of a negative size has %d clusters", n)
	}
	defer func() {
		if recover() == nil {
			t.Error("a range past the end was taken")
		}
	}()
	set.AddRange(2, 2, qcow2.Data)
}
