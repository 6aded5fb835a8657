// The program under test. It says that it runs; copies of it are signed in several ways, and some have another letter.
#include <efi.h>
#include <efilib.h>

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system)
{
	InitializeLib(image, system);
	Print(L"hello: letter A\n");
	// With success, the firmware would stop here; so it goes on to the next program in its boot order.
	return EFI_ABORTED;
}
