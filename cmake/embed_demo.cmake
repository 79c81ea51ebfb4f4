# Puts demo/model into the binary: one .incbin per file, and a table name -> bytes for assembly/demo_files.h.
set(demo_dir ${CMAKE_SOURCE_DIR}/demo/model)
file(GLOB demo_files CONFIGURE_DEPENDS ${demo_dir}/*.json ${demo_dir}/*.safetensors ${demo_dir}/*.jinja)
set(asm "    .section .rodata\n")
set(table "")
set(index 0)
foreach(file IN LISTS demo_files)
  get_filename_component(name ${file} NAME)
  string(APPEND asm "    .balign 64\n    .global pagoda_demo_${index}\n    .global pagoda_demo_${index}_end\n"
                    "pagoda_demo_${index}:\n    .incbin \"${file}\"\npagoda_demo_${index}_end:\n    .byte 0\n")
  string(APPEND table "DEMO_FILE(${index}, \"${name}\")\n")
  math(EXPR index "${index} + 1")
endforeach()
# Data alone: no executable stack, and (x86-64) nothing that indirect branches or shadow stacks would mind: without the
# note the linker takes the whole binary's promise (CET) back.
string(APPEND asm "    .section .note.GNU-stack,\"\",%progbits\n")
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  string(APPEND asm "    .section .note.gnu.property,\"a\"\n    .balign 8\n    .long 4, 16, 5\n    .string \"GNU\"\n"
                    "    .long 0xc0000002, 4, 3, 0\n")
endif()
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/demo_files.S CONTENT "${asm}")
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/demo_files.inc CONTENT "${table}")
set_source_files_properties(${CMAKE_BINARY_DIR}/generated/demo_files.S PROPERTIES OBJECT_DEPENDS "${demo_files}")
get_target_property(assembly_type assembly TYPE)
if(NOT assembly_type STREQUAL INTERFACE_LIBRARY)
  target_include_directories(assembly PRIVATE ${CMAKE_BINARY_DIR}/generated)
  target_sources(assembly PRIVATE ${CMAKE_BINARY_DIR}/generated/demo_files.S)
endif()
