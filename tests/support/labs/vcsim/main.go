// A vCenter of govmomi's simulator for the tests: one datacenter, one cluster with one host, no VM.
//
// The simulator tracks no changes of disks. What stands in front of it does, by comparing the files of its datastore with
// copies as of each snapshot: what it answers is ours, and shows what a client makes of such answers, not how vCenter is.
//
//	vcsim CERTIFICATE KEY USER PASSWORD FOLDER [TYPE CERTIFICATE]: prints its address, then serves until its standard input ends.
//	FOLDER: for the copies. One that is removed is a change id that is not known any more. TYPE: of its datastore. One that is
//	named has no files that go over HTTP, as vSAN; its exports come from a host of their own, with that certificate and key.
package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
	"github.com/vmware/govmomi/vim25/xml"
)

const block = 64 << 10

type envelope struct {
	Body struct {
		Snapshot       *types.CreateSnapshotRequestType        `xml:"CreateSnapshot_Task"`
		Query          *types.QueryChangedDiskAreasRequestType `xml:"QueryChangedDiskAreas"`
		Destroy        *types.DestroyRequestType               `xml:"Destroy_Task"`
		Reconfigure    *types.ReconfigVMRequestType            `xml:"ReconfigVM_Task"`
		Import         *types.ImportVAppRequestType            `xml:"ImportVApp"`
		ExportVm       *types.ExportVmRequestType              `xml:"ExportVm"`
		ExportSnapshot *types.ExportSnapshotRequestType        `xml:"ExportSnapshot"`
		Complete       *types.HttpNfcLeaseCompleteRequestType  `xml:"HttpNfcLeaseComplete"`
		Abort          *types.HttpNfcLeaseAbortRequestType     `xml:"HttpNfcLeaseAbort"`
	}
}

type front struct {
	http.Handler
	folder string
	files  bool
	leases leases
	lock   sync.Mutex
	number int
}

func answer(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, `<?xml version="1.0"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"`+
		` xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>%s</soapenv:Body></soapenv:Envelope>`, body)
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, nfc) {
		f.leases.ServeHTTP(w, r)
		return
	}
	if strings.HasPrefix(r.URL.Path, "/folder/") && !f.files {
		http.NotFound(w, r)
		return
	}
	if r.URL.Path != "/sdk" {
		f.Handler.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	var asked envelope
	decoder := xml.NewDecoder(bytes.NewReader(body))
	decoder.TypeFunc = types.TypeFunc()
	_ = decoder.Decode(&asked)
	f.lock.Lock()
	defer f.lock.Unlock()
	r.Body = io.NopCloser(bytes.NewReader(body))
	switch {
	case asked.Body.Destroy != nil && f.leases.blocks(asked.Body.Destroy.This),
		asked.Body.Reconfigure != nil && f.leases.blocks(asked.Body.Reconfigure.This),
		asked.Body.ExportVm != nil && f.leases.blocks(asked.Body.ExportVm.This):
		answer(w, http.StatusInternalServerError, `<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>The operation is `+
			`not allowed in the current state.</faultstring><detail><InvalidStateFault xmlns="urn:vim25" xsi:type="InvalidState"/>`+
			`</detail></soapenv:Fault>`)
	case asked.Body.Query != nil:
		found, status := f.changed(asked.Body.Query)
		answer(w, status, found)
	case asked.Body.ExportVm != nil:
		id := f.leases.export(asked.Body.ExportVm.This)
		f.leases.held[id] = asked.Body.ExportVm.This
		exported(w, "ExportVm", id)
	case asked.Body.ExportSnapshot != nil:
		vm := simulator.Map.Get(asked.Body.ExportSnapshot.This).(*simulator.VirtualMachineSnapshot).Vm
		exported(w, "ExportSnapshot", f.leases.export(vm))
	case asked.Body.Import != nil:
		recorder := httptest.NewRecorder()
		f.Handler.ServeHTTP(recorder, r)
		spec, ok := asked.Body.Import.Spec.(*types.VirtualMachineImportSpec)
		if ok {
			f.leases.imported(recorder.Body.Bytes(), spec.ConfigSpec.Name)
		}
		w.WriteHeader(recorder.Code)
		_, _ = w.Write(recorder.Body.Bytes())
	case asked.Body.Destroy != nil:
		destroy(asked.Body.Destroy.This, func() { f.Handler.ServeHTTP(w, r) })
	default:
		if asked.Body.Snapshot != nil {
			f.freeze(asked.Body.Snapshot.This)
		}
		if asked.Body.Complete != nil {
			f.leases.end(asked.Body.Complete.This.Value)
		}
		f.Handler.ServeHTTP(w, r)
		if asked.Body.Abort != nil {
			if vm, made := f.leases.end(asked.Body.Abort.This.Value); made {
				f.remove(vm, r)
			}
		}
	}
}

// remove has the simulator remove what a lease made that was aborted.
func (f *front) remove(vm types.ManagedObjectReference, r *http.Request) {
	body := fmt.Sprintf(`<?xml version="1.0"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/">`+
		`<soapenv:Body><Destroy_Task xmlns="urn:vim25"><_this type="VirtualMachine">%s</_this></Destroy_Task></soapenv:Body>`+
		`</soapenv:Envelope>`, vm.Value)
	asked := r.Clone(r.Context())
	asked.Body = io.NopCloser(strings.NewReader(body))
	asked.ContentLength = int64(len(body))
	f.Handler.ServeHTTP(httptest.NewRecorder(), asked)
}

func exported(w http.ResponseWriter, method, id string) {
	answer(w, http.StatusOK, fmt.Sprintf(`<%sResponse xmlns="urn:vim25"><returnval type="HttpNfcLease">%s</returnval></%sResponse>`,
		method, id, method))
}

func disks(ref types.ManagedObjectReference) []*types.VirtualDisk {
	var found []*types.VirtualDisk
	vm := simulator.Map.Get(ref).(*simulator.VirtualMachine)
	for _, device := range vm.Config.Hardware.Device {
		if disk, ok := device.(*types.VirtualDisk); ok {
			found = append(found, disk)
		}
	}
	return found
}

func flat(disk *types.VirtualDisk) string {
	name := disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo).FileName
	return strings.TrimSuffix(place(name), ".vmdk") + "-flat.vmdk"
}

// place is where a datastore path is in this machine's files.
func place(name string) string {
	store, path, _ := strings.Cut(strings.TrimPrefix(name, "["), "] ")
	for _, entity := range simulator.Map.All("Datastore") {
		datastore := entity.(*simulator.Datastore)
		if datastore.Name == store {
			return filepath.Join(datastore.Info.GetDatastoreInfo().Url, path)
		}
	}
	return ""
}

func (f *front) copyOf(changeID string, key int32) string {
	return filepath.Join(f.folder, fmt.Sprintf("%s-%d", strings.ReplaceAll(changeID, "/", "-"), key))
}

// freeze gives the disks of a VM that is tracked the change id of the snapshot to come.
func (f *front) freeze(ref types.ManagedObjectReference) {
	vm := simulator.Map.Get(ref).(*simulator.VirtualMachine)
	if vm.Config.ChangeTrackingEnabled == nil || !*vm.Config.ChangeTrackingEnabled {
		return
	}
	f.number++
	for _, disk := range disks(ref) {
		id := fmt.Sprintf("52 de ad/%d", f.number)
		content, err := os.ReadFile(flat(disk))
		if err != nil {
			continue
		}
		if err := os.WriteFile(f.copyOf(id, disk.Key), content, 0600); err != nil {
			log.Fatal(err)
		}
		disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo).ChangeId = id
	}
}

// changed answers with at most 16 areas at a time, as a client has to expect.
func (f *front) changed(asked *types.QueryChangedDiskAreasRequestType) (string, int) {
	for _, disk := range disks(asked.This) {
		if disk.Key != asked.DeviceKey {
			continue
		}
		id := disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo).ChangeId
		now, err := os.ReadFile(f.copyOf(id, disk.Key))
		if err != nil {
			break
		}
		before := make([]byte, len(now))
		if asked.ChangeId != "*" {
			if before, err = os.ReadFile(f.copyOf(asked.ChangeId, disk.Key)); err != nil || len(before) != len(now) {
				break
			}
		}
		var areas strings.Builder
		at, count := asked.StartOffset, 0
		for ; at < int64(len(now)) && count < 16; at += block {
			end := at + block
			if end > int64(len(now)) {
				end = int64(len(now))
			}
			if !bytes.Equal(now[at:end], before[at:end]) {
				fmt.Fprintf(&areas, "<changedArea><start>%d</start><length>%d</length></changedArea>", at, end-at)
				count++
			}
		}
		if at > int64(len(now)) {
			at = int64(len(now))
		}
		return fmt.Sprintf(`<QueryChangedDiskAreasResponse xmlns="urn:vim25"><returnval><startOffset>%d</startOffset>`+
			`<length>%d</length>%s</returnval></QueryChangedDiskAreasResponse>`,
			asked.StartOffset, at-asked.StartOffset, areas.String()), http.StatusOK
	}
	return `<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>A specified parameter was not correct: changeId` +
		`</faultstring><detail><InvalidArgumentFault xmlns="urn:vim25" xsi:type="InvalidArgument">` +
		`<invalidProperty>changeId</invalidProperty></InvalidArgumentFault></detail></soapenv:Fault>`, http.StatusInternalServerError
}

// able lets every VM be tracked.
type able struct{}

func (able) Reference() types.ManagedObjectReference {
	return types.ManagedObjectReference{Type: "Able", Value: "able"}
}

func (able) PutObject(object mo.Reference) {
	if vm, ok := object.(*simulator.VirtualMachine); ok {
		vm.Capability.ChangeTrackingSupported = types.NewBool(true)
	}
}

func (able) UpdateObject(mo.Reference, []types.PropertyChange) {}

func (able) RemoveObject(types.ManagedObjectReference) {}

func main() {
	certificate, err := tls.LoadX509KeyPair(os.Args[1], os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	model := simulator.VPX()
	model.Machine, model.ClusterHost, model.Host = 0, 1, 0
	defer model.Remove()
	if err := model.Create(); err != nil {
		log.Fatal(err)
	}
	simulator.Map.AddHandler(able{})
	model.Service.Listen = &url.URL{Host: "127.0.0.1:0", User: url.UserPassword(os.Args[3], os.Args[4])}
	behind := model.Service.NewServer()
	defer behind.Close()
	target := &url.URL{Scheme: "http", Host: behind.URL.Host}
	front := &front{
		Handler: httputil.NewSingleHostReverseProxy(target),
		folder:  os.Args[5],
		files:   len(os.Args) <= 6,
		leases:  newLeases(os.Args[5]),
	}
	if !front.files {
		for _, entity := range simulator.Map.All("Datastore") {
			entity.(*simulator.Datastore).Summary.Type = os.Args[6]
		}
		certificate, err := tls.LoadX509KeyPair(os.Args[7], os.Args[7])
		if err != nil {
			log.Fatal(err)
		}
		front.leases.host = serve(certificate, &front.leases).String()
		front.leases.thumbprint = soap.ThumbprintSHA1(parsed(certificate))
	}
	fmt.Println(serve(certificate, front))
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func serve(certificate tls.Certificate, handler http.Handler) net.Addr {
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		log.Fatal(http.Serve(listener, handler))
	}()
	return listener.Addr()
}

func parsed(certificate tls.Certificate) *x509.Certificate {
	found, err := x509.ParseCertificate(certificate.Certificate[0])
	if err != nil {
		log.Fatal(err)
	}
	return found
}
