"""What a pipeline of cmdlets cannot do, as scripts with parameters: change tracking, and the order of boot devices.

Sources: Msvm_VirtualSystemReferencePointService and Msvm_ImageManagementService of the Hyper-V WMI provider, version 2.
"""

from __future__ import annotations

_COMMON = r"""
$ErrorActionPreference = 'Stop'
$Space = 'root\virtualization\v2'
function Wait-Result($Result) {
    if ($Result.ReturnValue -eq 4096) {
        do {
            Start-Sleep -Milliseconds 200
            $Job = Get-CimInstance -InputObject $Result.Job
        } while ($Job.JobState -in 2, 3, 4)
        if ($Job.JobState -ne 7) { throw "the job failed: $($Job.ErrorDescription)" }
    } elseif ($Result.ReturnValue -ne 0) {
        throw "the method answered $($Result.ReturnValue)"
    }
}
"""

CREATE_REFERENCE_POINT = (
    r"param([string]$VmId)"
    + _COMMON
    + r"""
function Get-Points {
    Get-CimInstance -Namespace $Space -ClassName Msvm_VirtualSystemReferencePoint |
        Where-Object { $_.VirtualSystemIdentifier -eq $VmId }
}
$Before = @(Get-Points | ForEach-Object { $_.InstanceID })
$Vm = Get-CimInstance -Namespace $Space -ClassName Msvm_ComputerSystem | Where-Object { $_.Name -eq $VmId }
$Service = Get-CimInstance -Namespace $Space -ClassName Msvm_VirtualSystemReferencePointService
$Settings = '<INSTANCE CLASSNAME="Msvm_VirtualSystemReferencePointSettingData">' +
    '<PROPERTY NAME="ConsistencyLevel" TYPE="uint8"><VALUE>2</VALUE></PROPERTY></INSTANCE>'
$Arguments = @{ AffectedSystem = $Vm; ReferencePointSettings = $Settings; ReferencePointType = [uint16]2 }
Wait-Result (Invoke-CimMethod -InputObject $Service -MethodName CreateReferencePoint -Arguments $Arguments)
Get-Points | Where-Object { $Before -notcontains $_.InstanceID } |
    Select-Object InstanceID, VirtualDiskIdentifiers, ResilientChangeTrackingIdentifiers |
    ConvertTo-Json -Compress -Depth 3
"""
)

DESTROY_REFERENCE_POINTS = (
    r"param([string[]]$Points)"
    + _COMMON
    + r"""
$Service = Get-CimInstance -Namespace $Space -ClassName Msvm_VirtualSystemReferencePointService
Get-CimInstance -Namespace $Space -ClassName Msvm_VirtualSystemReferencePoint |
    Where-Object { $Points -contains $_.InstanceID } | ForEach-Object {
        $Arguments = @{ AffectedReferencePoint = $_ }
        Wait-Result (Invoke-CimMethod -InputObject $Service -MethodName DestroyReferencePoint -Arguments $Arguments)
    }
"""
)

CHANGED_RANGES = (
    r"param([string]$Path, [string]$Since, [uint64]$Offset, [uint64]$Length)"
    + _COMMON
    + r"""
$Service = Get-CimInstance -Namespace $Space -ClassName Msvm_ImageManagementService
$Arguments = @{ Path = $Path; LimitId = $Since; ByteOffset = $Offset; ByteLength = $Length }
$Result = Invoke-CimMethod -InputObject $Service -MethodName GetVirtualDiskChanges -Arguments $Arguments
Wait-Result $Result
$Result | Select-Object ProcessedByteLength, ChangedByteOffsets, ChangedByteLengths |
    ConvertTo-Json -Compress -Depth 3
"""
)

BOOT_FROM_DISK = r"""
param([string]$VmId, [int]$Number, [int]$Location)
$ErrorActionPreference = 'Stop'
$Vm = Get-VM -Id $VmId
$Place = @{ ControllerType = 'SCSI'; ControllerNumber = $Number; ControllerLocation = $Location }
Set-VMFirmware -VM $Vm -FirstBootDevice (Get-VMHardDiskDrive -VM $Vm @Place)
"""
