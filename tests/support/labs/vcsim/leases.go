// Leases that keep bytes. The simulator's own take an upload and drop it, and it has no exports at all.
//
// The streams are made and read by qemu-img. What is answered is ours: it shows what a client makes of such answers, and that its
// streams are vmdk streams, not how vCenter is.
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

const nfc = "/nfc/"

var returned = regexp.MustCompile(`type="HttpNfcLease">([^<]+)<`)

// leases: files of the disks, by the path of their URL. Of exports, the streams; of imports, the flat files. held: the VM that is
// blocked, by the lease. importing: whether it is one that the lease made. host and thumbprint: of the URLs of exports.
type leases struct {
	folder     string
	host       string
	thumbprint string
	lock       sync.Mutex
	files      map[string]string
	held       map[string]types.ManagedObjectReference
	importing  map[string]bool
	number     int
}

func newLeases(folder string) leases {
	return leases{
		folder:    folder,
		host:      "*",
		files:     make(map[string]string),
		held:      make(map[string]types.ManagedObjectReference),
		importing: make(map[string]bool),
	}
}

// blocks tells whether a VM is held by a lease, so that it cannot be changed or removed.
func (l *leases) blocks(ref types.ManagedObjectReference) bool {
	l.lock.Lock()
	defer l.lock.Unlock()
	for _, vm := range l.held {
		if vm == ref {
			return true
		}
	}
	return false
}

func convert(from, to string, options ...string) error {
	command := exec.Command("qemu-img", append(append([]string{"convert"}, options...), from, to)...)
	output, err := command.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, output)
	}
	return nil
}

// endMarker writes what ends a stream of vCenter, and what qemu-img leaves out.
func endMarker(stream string) error {
	info, err := os.Stat(stream)
	if err != nil {
		return err
	}
	return os.Truncate(stream, (info.Size()+511)/512*512+512)
}

func controller(vm *simulator.VirtualMachine, key int32) (string, int32) {
	for _, device := range vm.Config.Hardware.Device {
		if device.GetVirtualDevice().Key == key {
			name := strings.TrimPrefix(fmt.Sprintf("%T", device), "*types.")
			if found, ok := device.(types.BaseVirtualController); ok {
				return name, found.GetVirtualController().BusNumber
			}
		}
	}
	return "", 0
}

// export makes streams of the disks as they are now, and a lease of their URLs.
func (l *leases) export(ref types.ManagedObjectReference) string {
	vm := simulator.Map.Get(ref).(*simulator.VirtualMachine)
	l.lock.Lock()
	l.number++
	id := fmt.Sprintf("lease-%d", l.number)
	l.lock.Unlock()
	self := types.ManagedObjectReference{Type: "HttpNfcLease", Value: id}
	info := &types.HttpNfcLeaseInfo{Lease: self, Entity: ref, LeaseTimeout: 300000000}
	for number, disk := range disks(ref) {
		name := fmt.Sprintf("disk-%d.vmdk", number)
		stream := filepath.Join(l.folder, id+"-"+name)
		if err := convert(flat(disk), stream, "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized"); err != nil {
			log.Fatal(err)
		}
		if err := endMarker(stream); err != nil {
			log.Fatal(err)
		}
		kind, bus := controller(vm, disk.ControllerKey)
		l.lock.Lock()
		l.files[nfc+id+"/"+name] = stream
		l.lock.Unlock()
		info.DeviceUrl = append(info.DeviceUrl, types.HttpNfcLeaseDeviceUrl{
			Key:           fmt.Sprintf("/%s/%s%d:%d", ref.Value, kind, bus, *disk.UnitNumber),
			Url:           "https://" + l.host + nfc + id + "/" + name,
			SslThumbprint: l.thumbprint,
			Disk:          types.NewBool(true),
			TargetId:      name,
		})
	}
	lease := &simulator.HttpNfcLease{HttpNfcLease: mo.HttpNfcLease{
		Self:  self,
		Info:  info,
		State: types.HttpNfcLeaseStateReady,
	}}
	return simulator.Map.Put(lease).Reference().Value
}

// imported notes where the disks are that an import is about to bring.
func (l *leases) imported(answer []byte, name string) {
	found := returned.FindSubmatch(answer)
	if found == nil {
		return
	}
	for _, entity := range simulator.Map.All("VirtualMachine") {
		if vm := entity.(*simulator.VirtualMachine); vm.Name == name {
			l.lock.Lock()
			defer l.lock.Unlock()
			l.held[string(found[1])], l.importing[string(found[1])] = vm.Self, true
			for _, disk := range disks(vm.Self) {
				file := flat(disk)
				url := nfc + string(found[1]) + "/" + strings.Replace(filepath.Base(file), "-flat.vmdk", ".vmdk", 1)
				l.files[url] = file
			}
		}
	}
}

// end gives the VM that the lease made, if it made one.
func (l *leases) end(id string) (types.ManagedObjectReference, bool) {
	l.lock.Lock()
	defer l.lock.Unlock()
	vm, importing := l.held[id], l.importing[id]
	delete(l.held, id)
	delete(l.importing, id)
	for url, file := range l.files {
		if strings.HasPrefix(url, nfc+id+"/") {
			delete(l.files, url)
			if filepath.Dir(file) == l.folder {
				_ = os.Remove(file)
			}
		}
	}
	return vm, importing
}

func (l *leases) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.lock.Lock()
	file, ok := l.files[r.URL.Path]
	l.lock.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	if r.Method == http.MethodGet {
		http.ServeFile(w, r, file)
		return
	}
	stream, err := os.CreateTemp(l.folder, "upload-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.Remove(stream.Name())
	_, err = io.Copy(stream, r.Body)
	stream.Close()
	if err == nil {
		err = convert(stream.Name(), file, "-f", "vmdk", "-O", "raw")
	}
	if err != nil {
		log.Print(err)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusCreated)
}

// destroy removes a VM and leaves the disks in its folder that are not its own, as vCenter does and the simulator does not.
func destroy(ref types.ManagedObjectReference, remove func()) {
	vm, ok := simulator.Map.Get(ref).(*simulator.VirtualMachine)
	if !ok {
		remove()
		return
	}
	own := make(map[string]bool)
	for _, disk := range disks(ref) {
		own[flat(disk)] = true
	}
	home := filepath.Dir(place(vm.Config.Files.VmPathName))
	others, _ := filepath.Glob(filepath.Join(home, "*-flat.vmdk"))
	kept := make(map[string]string)
	for _, file := range others {
		if own[file] {
			continue
		}
		for _, each := range []string{file, strings.Replace(file, "-flat.vmdk", ".vmdk", 1)} {
			aside := home + "-" + filepath.Base(each) + ".kept"
			if os.Rename(each, aside) == nil {
				kept[each] = aside
			}
		}
	}
	remove()
	for file, aside := range kept {
		_ = os.MkdirAll(home, 0700)
		if err := os.Rename(aside, file); err != nil {
			log.Fatal(err)
		}
	}
}
