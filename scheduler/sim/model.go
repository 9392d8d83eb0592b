package sim

import "math"

// model is a disk that grows and changes by fixed parts each night. Changes hit blocks by chance, so that k nights change
// size x (1 - (1-change)^k), Amanda's own reckoning.
type model struct {
	size           int64
	growth, change float64
}

// NewDisk gives a disk of the model: its size in its first night, and the parts of it that it grows by and that change
// from night to night. It is on the list from one night on, and up to another (0: it stays).
func NewDisk(name string, size int64, growth, change float64) *Disk {
	return &Disk{Name: name, model: &model{size, growth, change}, offline: map[int]bool{}}
}

// NewWorkload gives a workload of these disks.
func NewWorkload(nights int, disks ...*Disk) *Workload {
	return &Workload{Disks: disks, Nights: nights, norun: map[int]bool{}}
}

// Fail makes the disk unreadable in a night.
func (d *Disk) Fail(night int) { d.offline[night] = true }

func (m *model) bytes(night int) int64 {
	return int64(math.Round(float64(m.size) * math.Pow(1+m.growth, float64(night))))
}

func (m *model) changed(after, to int) int64 {
	now := float64(m.bytes(to))
	kept := float64(m.bytes(after)) * math.Pow(1-m.change, float64(to-after))
	return int64(math.Round(max(0, now-kept)))
}
